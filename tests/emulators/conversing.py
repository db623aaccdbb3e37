"""Three providers that hold a conversation: they think, call a tool, want their seal back, see images, keep to schemas.

Each checks what it is sent by the documentation of its own API, and answers in its own words, whole or streamed. Never
written by our code.
"""

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from tests.emulators.listening import Asked
from tests.emulators.natives import say

THOUGHT, SEAL, CALL_ID, ARGUMENTS = (
    "Let me see.",
    base64.b64encode(b"sealed-here").decode(),
    "toolu_01",
    {"city": "Rome"},
)
WEATHER, JSON, SEEN, PLAIN = "It rains.", '{"city":"Rome"}', "A cat.", "Good day."
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\ncat").decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}

Said = list[tuple[str, str]]


class Refused(Exception):
    """The provider finds fault with a request."""


def need(fact: object, what: str) -> None:
    """Refuse a request that lacks something."""
    if not fact:
        raise Refused(what)


class Conversing(ABC):
    """One provider. `asked` are the bodies it was sent."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def answer(self, asked: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        body = json.loads(asked.body)
        self.asked.append(body)
        try:
            said = self.reply(body)
        except Refused as refused:
            await say(writer, 400, b"application/json", json.dumps({"error": {"message": str(refused)}}).encode())
            return
        if body.get("stream") or "streamGenerateContent" in asked.path:
            await say(writer, 200, b"text/event-stream", *self.frames(said))
        else:
            await say(writer, 200, b"application/json", json.dumps(self.whole(said)).encode())

    def reply(self, body: Any) -> Said:
        """What it says to a request, in neutral words. Raises Refused."""
        if self.result(body):
            return [("text", WEATHER)]
        if body.get("tools"):
            self.check_tool(body)
            return [("thought", THOUGHT), ("call", json.dumps(ARGUMENTS))]
        if self.wants_json(body):
            return [("text", JSON)]
        return [("text", SEEN if self.sees(body) else PLAIN)]

    @abstractmethod
    def result(self, body: Any) -> bool:
        """Whether the last turn is a tool's result. Raises Refused when the turn before it is not as it was said."""

    @abstractmethod
    def check_tool(self, body: Any) -> None:
        """Raises Refused when the tool is not the weather's."""

    @abstractmethod
    def wants_json(self, body: Any) -> bool:
        """Whether a schema is there. Raises Refused when it is another."""

    @abstractmethod
    def sees(self, body: Any) -> bool:
        """Whether an image is there. Raises Refused when it is another."""

    @abstractmethod
    def whole(self, said: Said) -> Any:
        """The whole answer."""

    @abstractmethod
    def frames(self, said: Said) -> Iterator[bytes]:
        """The stream."""


class Anthropic(Conversing):
    """The Messages API."""

    def result(self, body: Any) -> bool:
        """The thought and its signature stand before the call."""
        last = body["messages"][-1]["content"]
        if not (isinstance(last, list) and last[0]["type"] == "tool_result"):
            return False
        thought, call = body["messages"][-2]["content"]
        need(thought == {"type": "thinking", "thinking": THOUGHT, "signature": SEAL}, f"not my thought: {thought}")
        need((call["id"], call["input"]) == (CALL_ID, ARGUMENTS), "not my call")
        need(last[0]["tool_use_id"] == CALL_ID, "a result of no call")
        return True

    def check_tool(self, body: Any) -> None:
        """In `input_schema`."""
        (tool,) = body["tools"]
        need((tool["name"], tool["input_schema"]["required"]) == ("weather", ["city"]), f"no weather: {tool}")

    def wants_json(self, body: Any) -> bool:
        """In `output_config`."""
        form = body.get("output_config", {}).get("format")
        need(form in (None, {"type": "json_schema", "schema": SCHEMA}), f"another schema: {form}")
        return form is not None

    def sees(self, body: Any) -> bool:
        """In a block of its own."""
        images = [block for block in _parts(body["messages"][-1]["content"]) if block["type"] == "image"]
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        need(all(image["source"] == source for image in images), "another image")
        return bool(images)

    def _block(self, kind: str, text: str) -> dict[str, Any]:
        match kind:
            case "thought":
                return {"type": "thinking", "thinking": text, "signature": SEAL}
            case "call":
                return {"type": "tool_use", "id": CALL_ID, "name": "weather", "input": json.loads(text)}
        return {"type": "text", "text": text}

    def _message(self, said: Said) -> dict[str, Any]:
        reason = "tool_use" if said[-1][0] == "call" else "end_turn"
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
        usage = {"input_tokens": 20, "output_tokens": 9}
        return {**head, "content": [self._block(*each) for each in said], "stop_reason": reason, "usage": usage}

    def whole(self, said: Said) -> Any:
        """A message."""
        return self._message(said)

    def frames(self, said: Said) -> Iterator[bytes]:
        """The message, its blocks in pieces."""
        message = self._message(said)
        yield _named({"type": "message_start", "message": {**message, "content": [], "stop_reason": None}})
        for index, (kind, text) in enumerate(said):
            empties: dict[str, dict[str, Any]] = {"thought": {"thinking": "", "signature": ""}, "call": {"input": {}}}
            empty = empties.get(kind, {"text": ""})
            block = {**self._block(kind, text if kind == "call" else ""), **empty}
            yield _named({"type": "content_block_start", "index": index, "content_block": block})
            deltas: list[dict[str, str]] = []
            for piece in (text[:5], text[5:]):
                names = {"thought": ("thinking_delta", "thinking"), "call": ("input_json_delta", "partial_json")}
                name, field = names.get(kind, ("text_delta", "text"))
                deltas.append({"type": name, field: piece})
            deltas += [{"type": "signature_delta", "signature": SEAL}] if kind == "thought" else []
            for delta in deltas:
                yield _named({"type": "content_block_delta", "index": index, "delta": delta})
            yield _named({"type": "content_block_stop", "index": index})
        closing = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        yield _named({"type": "message_delta", "delta": closing, "usage": message["usage"]})
        yield _named({"type": "message_stop"})


class Gemini(Conversing):
    """generateContent. The seal stands on the call."""

    def result(self, body: Any) -> bool:
        """The signature stands on the call."""
        (last, *_) = body["contents"][-1]["parts"]
        if "functionResponse" not in last:
            return False
        (call,) = [part for part in body["contents"][-2]["parts"] if "functionCall" in part]
        need(call.get("thoughtSignature") == SEAL, f"Function call is missing a thought_signature: {call}")
        need(call["functionCall"]["args"] == ARGUMENTS, "not my call")
        return True

    def check_tool(self, body: Any) -> None:
        """In a declaration."""
        (tool,) = body["tools"][0]["functionDeclarations"]
        schema = tool.get("parametersJsonSchema") or tool.get("parameters")
        need((tool["name"], schema["required"]) == ("weather", ["city"]), f"no weather: {tool}")

    def wants_json(self, body: Any) -> bool:
        """In `generationConfig`, with its media type."""
        config = body.get("generationConfig", {})
        schema = config.get("responseJsonSchema")
        need(schema in (None, SCHEMA), f"another schema: {schema}")
        need(schema is None or config["responseMimeType"] == "application/json", "no media type")
        return schema is not None

    def sees(self, body: Any) -> bool:
        """In a part of its own."""
        images = [part["inlineData"] for part in body["contents"][-1]["parts"] if "inlineData" in part]
        need(all(image == {"mimeType": "image/png", "data": PNG} for image in images), "another image")
        return bool(images)

    def _answer(self, parts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        counts = {"promptTokenCount": 20, "candidatesTokenCount": 9, "totalTokenCount": 29}
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **more}
        return {
            "candidates": [candidate],
            "usageMetadata": counts,
            "modelVersion": "gemini-3-flash",
            "responseId": "r1",
        }

    def _part(self, kind: str, text: str) -> dict[str, Any]:
        if kind == "call":
            return {"functionCall": {"name": "weather", "args": json.loads(text)}, "thoughtSignature": SEAL}
        return {"text": text, "thought": True} if kind == "thought" else {"text": text}

    def whole(self, said: Said) -> Any:
        """One candidate."""
        return self._answer([self._part(*each) for each in said], finishReason="STOP")

    def frames(self, said: Said) -> Iterator[bytes]:
        """Texts in two pieces, calls whole."""
        for kind, text in said:
            for piece in [text] if kind == "call" else [text[:5], text[5:]]:
                yield b"data: %b\r\n\r\n" % json.dumps(self._answer([self._part(kind, piece)])).encode()
        yield b"data: %b\r\n\r\n" % json.dumps(self._answer([{"text": ""}], finishReason="STOP")).encode()


class OpenAI(Conversing):
    """Chat completions. Its reasoning is shown, and sealed by nobody."""

    def result(self, body: Any) -> bool:
        """A turn of its own."""
        last = body["messages"][-1]
        if last["role"] != "tool":
            return False
        (call,) = body["messages"][-2]["tool_calls"]
        told = json.loads(call["function"]["arguments"])
        need((call["id"], last["tool_call_id"], told) == (CALL_ID, CALL_ID, ARGUMENTS), f"not my call: {call}")
        return True

    def check_tool(self, body: Any) -> None:
        """In a function."""
        (tool,) = body["tools"]
        told = (tool["function"]["name"], tool["function"]["parameters"]["required"])
        need(told == ("weather", ["city"]), f"no weather: {tool}")

    def wants_json(self, body: Any) -> bool:
        """In `response_format`."""
        form = body.get("response_format")
        need(form is None or form["json_schema"]["schema"] == SCHEMA, f"another schema: {form}")
        return form is not None

    def sees(self, body: Any) -> bool:
        """As an address of the scheme data."""
        images = [part for part in _parts(body["messages"][-1]["content"]) if part["type"] == "image_url"]
        url = f"data:image/png;base64,{PNG}"
        need(all(image["image_url"]["url"] == url for image in images), "another image")
        return bool(images)

    def _message(self, said: Said) -> Iterator[dict[str, Any]]:
        names = {"thought": "reasoning_content", "text": "content"}
        for kind, text in said:
            if kind == "call":
                function = {"name": "weather", "arguments": text}
                yield {"tool_calls": [{"index": 0, "id": CALL_ID, "type": "function", "function": function}]}
            else:
                yield {names[kind]: text}

    def _answer(self, key: str, message: dict[str, Any], finish: str | None) -> dict[str, Any]:
        kind = "chat.completion" + (".chunk" if key == "delta" else "")
        choice = {"index": 0, key: message, "finish_reason": finish}
        return {"id": "c1", "object": kind, "created": 1, "model": "gpt-5", "choices": [choice]}

    def _finish(self, said: Said) -> str:
        return "tool_calls" if said[-1][0] == "call" else "stop"

    def whole(self, said: Said) -> Any:
        """One choice."""
        message: dict[str, Any] = {"role": "assistant", "content": None}
        for each in self._message(said):
            message |= each
        return self._answer("message", message, self._finish(said)) | {"usage": _CHAT_USAGE}

    def frames(self, said: Said) -> Iterator[bytes]:
        """A chunk for each thing."""
        chunks = [self._answer("delta", delta, None) for delta in ({"role": "assistant"}, *self._message(said))]
        chunks.append(self._answer("delta", {}, self._finish(said)))
        chunks.append({**chunks[0], "choices": [], "usage": _CHAT_USAGE})
        for chunk in chunks:
            yield b"data: %b\n\n" % json.dumps(chunk).encode()
        yield b"data: [DONE]\n\n"


_CHAT_USAGE = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}


def _named(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), json.dumps(event).encode())


def _parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else []
