"""A compatible service with a list of models, whose state a test sets; it remembers the keys that it was shown."""

import asyncio
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tests.emulators.listening import Asked, Listening

TEXT = "Good day."
STATES: Mapping[str, tuple[int, dict[str, Any]]] = MappingProxyType(
    {
        "revoked": (401, {"message": "Incorrect API key provided.", "code": "invalid_api_key"}),
        "limited": (429, {"message": "Too many requests.", "code": "rate_limit_exceeded"}),
        "capped": (429, {"message": "You exceeded your current quota.", "code": "insufficient_quota"}),
        "gone": (404, {"message": "The model does not exist.", "code": "model_not_found"}),
        "down": (503, {"message": "Down."}),
    }
)


class ListedService:
    """`key` is the right one. `state` "well", "silent" or one of STATES; the list of models is "keyed", "open" to
    everybody, "none" or "odd"."""

    def __init__(self, key: str = "right-key-0123456789", models: tuple[str, ...] = ("m-1", "m-2")) -> None:
        self.key = key
        self.models = models
        self.state = "well"
        self.lists = "keyed"
        self.hint = 30
        self.body = b""
        self.asked: list[tuple[str, str, str]] = []
        self.silent = asyncio.Event()

    async def answer(self, asked: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.body = asked.body
        self.asked.append((asked.method, asked.path, asked.headers.get("authorization", "")))
        if self.state == "silent":
            await self.silent.wait()
        status, value = self._said(asked)
        body, kind = json.dumps(value).encode(), "application/json"
        if status == 200 and asked.body and json.loads(asked.body).get("stream"):
            body, kind = _stream(value), "text/event-stream"
        hint = f"retry-after: {self.hint}\r\n" if status == 429 else ""
        head = f"HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{hint}"
        writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
        await writer.drain()

    def _said(self, asked: Asked) -> tuple[int, Any]:
        listing = (asked.method, asked.path) == ("GET", "/v1/models")
        right = asked.headers.get("authorization") == f"Bearer {self.key}"
        state = self.state if right or (listing and self.lists == "open") else "revoked"
        if listing and self.lists == "none":
            return 404, {"error": {"message": "no such route"}}
        if listing and self.lists == "odd":
            return 200, {"welcome": "stranger"}
        if state in STATES and not (listing and (state == "gone" or self.lists == "open")):
            return STATES[state][0], {"error": STATES[state][1]}
        if listing:
            return 200, {"data": [{"id": name} for name in self.models]}
        assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
        choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
        head = {"id": "c1", "object": "chat.completion", "created": 1, "model": json.loads(asked.body)["model"]}
        return 200, {**head, "choices": [choice], "usage": usage}


def _stream(whole: dict[str, Any]) -> bytes:
    """An answer word by word."""
    head = whole | {"object": "chat.completion.chunk"}
    words = [{"content": f"{word} "} for word in TEXT.split(" ")]
    choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in words]
    chunks = [head | {"choices": each, "usage": None} for each in choices]
    chunks += [head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None}]
    frames = [json.dumps(chunk) for chunk in (*chunks, head | {"choices": []})]
    return "".join(f"data: {frame}\n\n" for frame in (*frames, "[DONE]")).encode()


class Listed(Listening):
    """One of them, listening at `url`."""

    def __init__(self, service: ListedService | None = None) -> None:
        self.service = service or ListedService()
        super().__init__(self.service.answer)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.urls[0]
