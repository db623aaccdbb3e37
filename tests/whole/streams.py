"""A caller who reads a stream line by line, and may hang up whenever it likes."""

import json
from types import TracebackType
from typing import Any, Self

from tests.whole.program import Program


class Stream:
    """A stream of the OpenAI door, opened by `with`; leaving the block hangs up, read to its end or not."""

    def __init__(self, program: Program, key: str, model: str, **fields: Any) -> None:
        self._connection = program.connect()
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello!"}]} | fields
        self._body = json.dumps(body).encode()
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}

    def __enter__(self) -> Self:
        self._connection.request("POST", "/v1/chat/completions", self._body, self._headers)
        self.answer = self._connection.getresponse()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.answer.close()
        self._connection.close()

    def event(self) -> bytes:
        """The data of the next event; b"" at the end. Raises http.client.IncompleteRead when the stream is cut."""
        while line := self.answer.readline():
            if line.startswith(b"data: "):
                return line.removeprefix(b"data: ").strip()
        return b""

    def rest(self) -> list[bytes]:
        """The data of all events to come."""
        return list(iter(self.event, b""))
