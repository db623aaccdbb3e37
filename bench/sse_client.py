"""Opens many streams at once over raw sockets, one connection each, and counts what comes: statuses, events, ends."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

_OK = 200
_LIMIT_S = 30.0
DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Tally:
    """What a crowd of streams has seen. `events` are frames without the last; `reads` pieces of body as they came."""

    opened: int = 0
    ok: int = 0
    events: int = 0
    reads: int = 0
    complete: int = 0
    aborted: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def running(self) -> int:
        """Streams that have not ended in any way."""
        return self.opened - self.complete - self.aborted - len(self.failed)


class Stream(asyncio.Protocol):
    """One request and its streamed answer."""

    def __init__(self, request: bytes, tally: Tally, ended: Callable[["Stream"], None], last: bytes = DONE) -> None:
        self._request, self._tally, self._ended, self._last = request, tally, ended, last
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Parse; what is not HTTP ends the stream as a failure."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"not HTTP: {error}")

    def on_headers_complete(self) -> None:
        """Count a 200; anything else ends the stream."""
        status = self._parser.get_status_code()
        if status == _OK:
            self._tally.ok += 1
        else:
            self._end(f"status {status}")

    def on_body(self, body: bytes) -> None:
        """Count the frames that end here, also where a frame's end is cut in two."""
        self._tally.reads += 1
        seen = self._tail + body
        self._tally.events += seen.count(b"\n\n") - self._tail.count(b"\n\n")
        self._tail = seen[-len(self._last) :]

    def on_message_complete(self) -> None:
        """The whole answer is here; without its last frame it was cut."""
        if self._tail == self._last:
            self._tally.events -= 1
            self._end("")
        else:
            self._end("ended without its last frame")

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up before the end."""
        self._end(f"connection lost: {exc}")

    def abort(self) -> None:
        """Hang up in the middle, as a caller who has lost interest."""
        if self._transport:
            self._tally.aborted += 1
            self._transport.abort()
            self._transport = None
            self._ended(self)

    def _end(self, failure: str) -> None:
        if self._transport is None:
            return
        self._transport.close()
        self._transport = None
        if failure:
            self._tally.failed.append(failure)
        else:
            self._tally.complete += 1
        self._ended(self)


class Crowd:
    """Streams that run side by side; each must end with the frame `last`."""

    def __init__(self, port: int, request: bytes, last: bytes = DONE) -> None:
        self.tally = Tally()
        self._port, self._request, self._last = port, request, last
        self._running: set[Stream] = set()
        self._none_left = asyncio.Event()

    async def open(self, count: int, within_s: float) -> None:
        """Open `count` streams, evenly spread over so many seconds. Raises OSError when one cannot connect."""
        loop = asyncio.get_running_loop()
        self._none_left.clear()
        start = loop.time()
        for number in range(count):
            await asyncio.sleep(start + number * within_s / count - loop.time())
            stream = Stream(self._request, self.tally, self._ended, self._last)
            self._running.add(stream)
            self.tally.opened += 1
            await loop.create_connection(lambda stream=stream: stream, "127.0.0.1", self._port)  # type: ignore[misc]

    async def run(self, count: int, within_s: float) -> Tally:
        """Open streams and wait for all of them, half a minute at most."""
        await self.open(count, within_s)
        return await self.finish()

    def abort(self, count: int) -> None:
        """Hang up on so many of the running streams."""
        for stream in list(self._running)[:count]:
            stream.abort()

    async def finish(self, seconds: float = _LIMIT_S) -> Tally:
        """Wait for the end of all streams. Raises TimeoutError; then all are hung up."""
        try:
            async with asyncio.timeout(seconds):
                await self._none_left.wait()
        finally:
            self.abort(len(self._running))
        return self.tally

    def _ended(self, stream: Stream) -> None:
        self._running.discard(stream)
        if not self._running:
            self._none_left.set()
