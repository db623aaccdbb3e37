"""Callers who never ask twice: every connection that breaks, every other status and every stream without its end counts
as a failure. They ask at a pace, over new connections, over one that is kept alive until it is closed, and in streams.
"""

import asyncio
import json
import time
from collections import Counter
from types import TracebackType
from typing import Self

PAUSE = 0.01
"""Seconds between two requests of one caller."""
END = b"data: [DONE]\n\n"


class Connection:
    """A connection to a gateway. `usable` turns false when the gateway said or showed that it closes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, key: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host
        self._key = key
        self._told_to_close = False

    @classmethod
    async def open(cls, url: str, key: str) -> Self:
        host, port = url.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port)), host, key)

    @property
    def usable(self) -> bool:
        return not (self._told_to_close or self._reader.at_eof())

    async def ask(self, model: str, *, stream: bool = False) -> bytes:
        """The body of a complete answer. Raises ConnectionError with what went wrong."""
        self.send(model, stream=stream)
        return await self.answer()

    def send(self, model: str, *, stream: bool = False) -> None:
        body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}).encode()
        self._writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: %b\r\nauthorization: Bearer %b\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (self._host.encode(), self._key.encode(), len(body), body)
        )

    async def answer(self) -> bytes:
        """The answer to what was sent."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        self._told_to_close = b"\r\nconnection: close\r\n" in head
        if b"\r\ntransfer-encoding: chunked\r\n" in head:
            body = await self._chunks()
        else:
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            body = await self._reader.readexactly(int(length.split(b":")[1]))
        if not head.startswith(b"http/1.1 200 "):
            raise ConnectionError(head[:12] + body)
        return body

    async def _chunks(self) -> bytes:
        pieces = []
        while size := int(await self._reader.readline(), 16):
            pieces.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(pieces)

    def close(self) -> None:
        self._writer.close()


class Callers:
    """All of them, for as long as the `async with`. `answered` counts by kind, `failed` says what happened."""

    def __init__(self, url: str, key: str, each: int) -> None:
        self._url = url
        self._key = key
        self._each = each
        self._ending = False
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []

    async def __aenter__(self) -> Self:
        kinds = (self._new, self._kept, self._streams)
        self._tasks = [asyncio.create_task(kind()) for kind in kinds for _ in range(self._each)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        await asyncio.wait_for(asyncio.gather(*self._tasks), 60)

    async def _new(self) -> None:
        while not self._ending:
            await self._ask("new", None, "stub/echo")
            await asyncio.sleep(PAUSE)

    async def _kept(self) -> None:
        connection: Connection | None = None
        while not self._ending:
            connection = await self._ask("kept", connection, "stub/slow-5")
            await asyncio.sleep(PAUSE)
        if connection is not None:
            connection.close()

    async def _streams(self) -> None:
        connection: Connection | None = None
        while not self._ending:
            connection = await self._ask("streams", connection, "stub/drip-20x20")
        if connection is not None:
            connection.close()

    async def _ask(self, kind: str, connection: Connection | None, model: str) -> Connection | None:
        """Ask over this connection, or over a new one; returns it when it can be used again."""
        began = time.monotonic()
        stream = kind == "streams"
        used = connection is not None
        try:
            if connection is None:
                connection = await Connection.open(self._url, self._key)
            body = await connection.ask(model, stream=stream)
            if stream and not body.endswith(END):
                raise ConnectionError(body[-200:])
        except (OSError, EOFError, ValueError) as error:
            self.failed.append(f"{kind}, used={used}, after {time.monotonic() - began:.3f} s: {error!r}")
            if connection is not None:
                connection.close()
            return None
        self.answered[kind] += 1
        if kind == "new" or not connection.usable:
            connection.close()
            return None
        return connection
