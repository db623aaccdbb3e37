"""An emulator of each service in `vendors`, on a port of its own; as strict about path, key and fields as it is."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

from tests.emulators.listening import Asked, Listening
from tests.emulators.vendors import HINT, INPUT_TOKENS, OUTPUT_TOKENS, REASONING_TOKENS, VENDORS, Vendor

TEXT, CALL_ID, SIGNATURE = "Good day.", "call_1", "c2lnbmF0dXJl"
ARGUMENTS = {"city": "Rome"}


class Refused(Exception):
    """The service finds fault with a request: a status and the body that says so."""


class Service:
    """One vendor's server. `state` "revoked": the key no longer works; "limited": too many requests."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.key = f"key-of-{vendor.id}"
        self.state = "well"

    async def answer(self, asked: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request as the vendor would."""
        headers = b""
        try:
            body = self._check(asked)
        except Refused as refused:
            status, told = refused.args
            payload, kind = [json.dumps(told).encode()], "application/json"
            headers = b"retry-after: %d\r\n" % HINT if status == 429 and self._tells_by_header() else b""
        else:
            status, stream = 200, bool(body.get("stream"))
            payload = list(self._frames(body)) if stream else [json.dumps(self._whole(body)).encode()]
            kind = "text/event-stream" if stream else "application/json"
        head = f"HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {sum(map(len, payload))}\r\n"
        writer.write(head.encode() + headers + b"connection: close\r\n\r\n")
        for piece in payload:
            writer.write(piece)
            await writer.drain()

    def _tells_by_header(self) -> bool:
        return self.vendor.hinted and self.vendor.id != "gemini"

    def _check(self, asked: Asked) -> dict[str, Any]:
        """The body, if the vendor takes the request."""
        vendor = self.vendor
        if (asked.method, asked.path) != ("POST", vendor.path):
            raise Refused(404, {"error": {"message": f"no route {asked.method} {asked.path}"}})
        if self.state == "revoked" or (vendor.keyed and asked.headers.get("authorization") != f"Bearer {self.key}"):
            usual = (401, {"error": {"message": "Incorrect API key.", "code": "invalid_api_key"}})
            raise Refused(*(vendor.wrong_key or usual))
        if self.state == "limited":
            raise Refused(429, vendor.limited or {"error": {"message": "Too many requests.", "code": "rate_limit"}})
        body: dict[str, Any] = json.loads(asked.body)
        self._check_fields(body)
        return body

    def _check_fields(self, body: dict[str, Any]) -> None:
        vendor = self.vendor
        for name in vendor.refuses:
            if name in body:
                raise _unfit(f"Extra inputs are not permitted: {name}")
        if not str(body.get("model", "")).startswith("m-"):
            raise _unfit(f"no model {body.get('model')}")
        if body["messages"][0] != {"role": "system", "content": "Be brief."}:
            raise _unfit("the system prompt is not the first message")
        if "tools" in body and not vendor.forced:
            raise _unfit("Tools are not supported.")
        if "tools" in body and body["messages"][-1]["role"] != "tool" and body.get("tool_choice") != vendor.forced:
            raise _unfit(f"tool_choice {body.get('tool_choice')} is not {vendor.forced}")
        if body["messages"][-1]["role"] == "tool":
            self._check_result(body["messages"])

    def _check_result(self, messages: list[dict[str, Any]]) -> None:
        (call,) = messages[-2]["tool_calls"]
        if (call["id"], messages[-1]["tool_call_id"]) != (CALL_ID, CALL_ID):
            raise _unfit("the result belongs to no call")
        if self.vendor.signed and call.get("extra_content", {}).get("google", {}) != {"thought_signature": SIGNATURE}:
            raise _unfit("Function call is missing a thought_signature.")

    def _message(self, body: dict[str, Any]) -> tuple[dict[str, Any], str]:
        if "tools" not in body or body["messages"][-1]["role"] == "tool":
            return {"role": "assistant", "content": TEXT}, "stop"
        function = {"name": "weather", "arguments": json.dumps(ARGUMENTS)}
        call: dict[str, Any] = {"index": 0, "id": CALL_ID, "type": "function", "function": function}
        if self.vendor.signed:
            call["extra_content"] = {"google": {"thought_signature": SIGNATURE}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"

    def _usage(self) -> dict[str, Any]:
        inside = self.vendor.reasoning == "inside"
        completion = OUTPUT_TOKENS if inside else OUTPUT_TOKENS - REASONING_TOKENS
        told: dict[str, Any] = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": completion}
        told["total_tokens"] = INPUT_TOKENS + OUTPUT_TOKENS
        if self.vendor.reasoning != "hidden":
            told["completion_tokens_details"] = {"reasoning_tokens": REASONING_TOKENS}
        return told

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        message, finish = self._message(body)
        choice = {"index": 0, "message": message, "finish_reason": finish}
        told = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        return {**told, **self.vendor.extra, "usage": self._usage()}

    def _frames(self, body: dict[str, Any]) -> Iterator[bytes]:
        """The stream in the vendor's own framing."""
        end = "\r\n" if self.vendor.crlf else "\n"
        if self.vendor.comments:
            yield f"{self.vendor.comments}{end}{end}".encode()
        for chunk in self._chunks(body):
            yield f"data: {json.dumps(chunk)}{end}{end}".encode()
        if self.vendor.done:
            yield f"data: [DONE]{end}{end}".encode()

    def _chunks(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        place, usage = self.vendor.usage, {"usage": self._usage()}
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": body["model"], **self.vendor.extra}
        message, finish = self._message(body)
        deltas = [{"content": piece} for piece in ("Good ", "day.")] if message["content"] else [message]
        for delta, reason in itertools.zip_longest([*deltas, {}], [None] * len(deltas), fillvalue=finish):
            chunk = head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
            if place == "every" or (place == "finish" and reason):
                chunk |= usage
            if place == "x_groq" and reason:
                chunk |= {"x_groq": usage}
            yield chunk
        asked = (body.get("stream_options") or {}).get("include_usage")
        if place == "always" or (place == "asked" and asked):
            yield head | {"choices": []} | usage


class Services(Listening):
    """All vendors at once; `url` of each by its id."""

    def __init__(self) -> None:
        self.services = {vendor.id: Service(vendor) for vendor in VENDORS}
        super().__init__(*(service.answer for service in self.services.values()))

    def url(self, vendor: str) -> str:
        """Where this vendor listens."""
        return self.urls[list(self.services).index(vendor)]


def _unfit(message: str) -> Refused:
    return Refused(400, {"error": {"message": message, "type": "invalid_request_error"}})
