"""A provider that repeats what it was shown: in every error, in broken answers and in broken streams."""

import asyncio
import json
from typing import Any

from tests.emulators.listening import Asked, Listening
from tests.emulators.natives import say

STATUSES = ("400", "401", "403", "404", "413", "422", "429", "500", "529")
BROKEN = ("early", "late", "text")
"""Answers that begin with status 200."""


class Echo(Listening):
    """The name of the model says how: one of STATUSES or of BROKEN."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.urls[0]

    async def _answer(self, asked: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body: dict[str, Any] = json.loads(asked.body or b"{}")
        how = body.get("model", "401")
        bare = asked.headers.get("authorization", "").removeprefix("Bearer ")
        error = {"error": {"message": f"So you said {bare}; {asked.headers}", "type": bare, "param": asked.headers}}
        if how not in BROKEN:
            await say(writer, int(how), b"application/json", json.dumps(error).encode())
            return
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        well = {**chunk, "choices": [{"index": 0, "delta": {"content": "Well"}, "finish_reason": None}]}
        plays: dict[str, list[Any]] = {"early": [error], "late": [well, error], "text": [f"So {bare}"]}
        texts = [each if isinstance(each, str) else json.dumps(each) for each in plays[how]]
        if body.get("stream"):
            await say(writer, 200, b"text/event-stream", *(f"data: {text}\n\n".encode() for text in texts))
        else:
            await say(writer, 200, b"application/json", texts[-1].encode())
