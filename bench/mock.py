"""The bench's provider: canned chat completions, whole or streamed at a fixed pace, every one counted.

It never parses JSON: a byte search for `stream`, `max_tokens`, `user` and `include_usage` picks the answer.
"""

import asyncio
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import cast

import uvloop

from bench.request import MODEL

ANSWER_BYTES = 700
TICK_S = 0.001

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream" *: *true')
_USAGE = re.compile(rb'"include_usage" *: *true')
_EVENTS = re.compile(rb'"max_(?:completion_)?tokens" *: *(\d+)')
_PACE = re.compile(rb'"user" *: *"pace-(\d+)"')
_CLOSE_WITHIN = re.compile(rb"close_within_ms=(\d+)")
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 200, "completion_tokens": tokens, "total_tokens": 200 + tokens}


def answer_body() -> bytes:
    """The whole answer: a chat completion of exactly `ANSWER_BYTES` bytes."""

    def render(text: str) -> bytes:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        head = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1700000000, "model": MODEL}
        return json.dumps(head | {"choices": [choice], "usage": _usage(30)}).encode()

    return render("x" * (ANSWER_BYTES - len(render(""))))


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def _frame(choices: list[object], **more: object) -> bytes:
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1700000000, "model": MODEL}
    return b"data: " + json.dumps(head | {"choices": choices} | more).encode() + b"\n\n"


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)


@lru_cache(maxsize=64)
def stream_chunks(events: int, *, usage: bool) -> tuple[bytes, ...]:
    """The body of a stream as HTTP chunks: `events` frames, the last one with the usage frame, [DONE] and the end."""
    first = _frame([{"index": 0, "delta": {"role": "assistant", "content": "So"}, "finish_reason": None}])
    middle = _frame([{"index": 0, "delta": {"content": " word"}, "finish_reason": None}])
    last = _frame([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    frames = [_chunk(first), *[_chunk(middle)] * (events - 2), _chunk(last)][-events:]
    frames[-1] += _chunk(_frame([], usage=_usage(events))) if usage else b""
    frames[-1] += _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return tuple(frames)


class Wheel:
    """Calls back after so many ticks with one timer for all: coarse, and cheap for thousands of streams."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._start = loop.time()
        self._done = 0
        self._slots: defaultdict[int, list[Callable[[], None]]] = defaultdict(list)
        self._turning = False

    def after(self, ticks: int, callback: Callable[[], None]) -> None:
        """Call back in the `ticks`-th tick from now, at the earliest in the next one."""
        if not self._turning:
            self._turning = True
            self._done = self._now()
            self._loop.call_later(TICK_S, self._turn)
        self._slots[max(self._now(), self._done) + max(ticks, 1)].append(callback)

    def _now(self) -> int:
        return int((self._loop.time() - self._start) / TICK_S)

    def _turn(self) -> None:
        begin, self._done = self._done + 1, self._now()
        for tick in range(begin, self._done + 1):
            for callback in self._slots.pop(tick, ()):
                callback()
        self._turning = bool(self._slots)
        if self._turning:
            self._loop.call_later(TICK_S, self._turn)


@dataclass(slots=True)
class Counts:
    """What the mock has seen: requests for completions so far, and streams unfinished now."""

    requests: int = 0
    streaming: int = 0


class Provider:
    """What the connections share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: random.Random) -> None:
        self.loop, self.rng, self.wheel = loop, rng, Wheel(loop)
        self.counts = Counts()
        self.open: set[Connection] = set()
        self.close_within_ms = 0
        self.answer = _whole(answer_body())

    def control(self, line: bytes, asking: "Connection") -> bytes:
        """Answer one of the bench's own requests: read the counts, close idle connections, set their idle time."""
        if b"/close-idle" in line:
            for connection in self.open - {asking}:
                connection.close_if_idle(None)
        if match := _CLOSE_WITHIN.search(line):
            self.close_within_ms = int(match[1])
        return _whole(json.dumps(asdict(self.counts)).encode())


class Connection(asyncio.Protocol):
    """One connection. Requests one after another; what comes while an answer streams waits."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._pending: tuple[bytes, ...] = ()
        self._at = self._pace = self._served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember it, for `close-idle`."""
        self._transport = cast("asyncio.Transport", transport)
        self._provider.open.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the stream that was running, if any."""
        self._transport = None
        self._provider.open.discard(self)
        self._provider.counts.streaming -= bool(self._pending)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._buffer = self._buffer + data if self._buffer else data
        while self._transport and self._buffer and not self._pending:
            head_end = self._buffer.find(b"\r\n\r\n")
            match = _LENGTH.search(self._buffer, 0, head_end) if head_end >= 0 else None
            end = head_end + 4 + (int(match[1]) if match else 0)
            if head_end < 0 or len(self._buffer) < end:
                return
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            self._answer(request, self._transport)

    def close_if_idle(self, served: int | None) -> None:
        """Close unless a request is under way, or (with `served`) another one was answered since."""
        if self._transport and not self._pending and not self._buffer and served in (None, self._served):
            self._transport.close()

    def _answer(self, request: bytes, transport: asyncio.Transport) -> None:
        if request.startswith(b"GET /bench/"):
            transport.write(self._provider.control(request.partition(b"\r\n")[0], self))
            return
        self._provider.counts.requests += 1
        if not _STREAM.search(request):
            transport.write(self._provider.answer)
            self._answered()
            return
        events, pace = _EVENTS.search(request), _PACE.search(request)
        chunks = stream_chunks(int(events[1]) if events else 16, usage=bool(_USAGE.search(request)))
        self._pace = int(pace[1]) if pace else 0
        if not self._pace:
            transport.write(_STREAM_HEAD + b"".join(chunks))
            self._answered()
            return
        transport.write(_STREAM_HEAD)
        self._pending, self._at = chunks, 0
        self._provider.counts.streaming += 1
        self._provider.wheel.after(self._pace, self._next_event)

    def _next_event(self) -> None:
        if self._transport is None:
            return
        self._transport.write(self._pending[self._at])
        self._at += 1
        if self._at < len(self._pending):
            self._provider.wheel.after(self._pace, self._next_event)
            return
        self._pending = ()
        self._provider.counts.streaming -= 1
        self._answered()
        self.data_received(b"")

    def _answered(self) -> None:
        self._served += 1
        if limit := self._provider.close_within_ms:
            delay = self._provider.rng.uniform(0, limit / 1000)
            self._provider.loop.call_later(delay, self.close_if_idle, self._served)


async def serve() -> None:
    """Serve on a free loopback port, which is printed as the only line, until stdin ends: that is, with the bench."""
    loop = asyncio.get_running_loop()
    provider = Provider(loop, random.Random(7))  # noqa: S311 -- idle times, not secrets
    server = await loop.create_server(lambda: Connection(provider), "127.0.0.1", 0, backlog=4096)
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
