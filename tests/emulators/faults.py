"""Everything that providers do to a gateway, each a named row of one table, for any dialect. Never by our own code."""

import asyncio
import gzip
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import NamedTuple

from tests.emulators.spoken import Spoken

HINT = 30
"""Seconds that every hint of a rate limit asks for: longer than any deadline of the tests."""
HUGE = 200_000_000
BLOCK = b" " * 65_536
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class Turn:
    """One request that has arrived, and the means to answer it badly. `first`: the first one at this address."""

    def __init__(
        self, spoken: Spoken, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stream: bool, first: bool
    ) -> None:
        self.spoken = spoken
        self.stream = stream
        self.first = first
        self._reader = reader
        self._writer = writer

    def pieces(self, spoken: Spoken | None = None) -> list[bytes]:
        """A good body: frames of a stream, or the whole answer."""
        spoken = spoken or self.spoken
        return spoken.frames() if self.stream else [spoken.whole]

    def half(self) -> list[bytes]:
        """The body to the middle of its text."""
        if self.stream:
            return self.pieces()[: len(self.spoken.events) // 2]
        return [self.spoken.whole[: len(self.spoken.whole) // 2]]

    def head(self, *lines: bytes, status: bytes = b"200 OK", kind: bytes | None = None) -> bytes:
        """A head; without further lines the body is chunked. No connection is kept: each case has its own."""
        right = self.spoken.stream_type if self.stream else self.spoken.whole_type
        lines = (
            b"connection: close",
            b"content-type: " + (kind or right),
            *(lines or (b"transfer-encoding: chunked",)),
        )
        return b"HTTP/1.1 %b\r\n%b\r\n\r\n" % (status, b"\r\n".join(lines))

    async def say(self, *pieces: bytes) -> None:
        """Write, each piece by itself."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def chunks(self, *pieces: bytes, last: bool = True) -> None:
        """Write in the chunked coding; `last` ends the body."""
        await self.say(*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), *([b"0\r\n\r\n"] if last else []))

    async def sized(self, body: bytes, *lines: bytes, status: bytes = b"200 OK", kind: bytes | None = None) -> None:
        """A whole answer with its length."""
        await self.say(self.head(b"content-length: %d" % len(body), *lines, status=status, kind=kind) + body)

    async def well(self, spoken: Spoken | None = None) -> None:
        """The good answer."""
        if self.stream:
            await self.say(self.head())
            await self.chunks(*self.pieces(spoken))
        else:
            await self.sized(self.pieces(spoken)[0])

    async def gone(self) -> None:
        """Return when the gateway has hung up."""
        while await self._reader.read(65_536):
            pass

    def reset(self) -> None:
        """End the connection with RST."""
        found: socket.socket = self._writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Play = Callable[[Turn], Awaitable[None]]


class Fault(NamedTuple):
    """One row. `whole` and `stream` say what a caller with one slot must get: "answer"; the beginning of an error code
    that is told before the first byte; or "broken", a right beginning and then an error in the door's own form.

    `relayed` stands for `stream` where caller and provider speak the same dialect; "as it is" there is whatever the
    provider said. `hint` seconds of retry-after.
    """

    name: str
    play: Play | None
    whole: str
    stream: str
    relayed: str = ""
    hint: int | None = None


# --- before the head


async def closed(_: Turn) -> None:
    """Close without a byte."""


async def reset_at_once(turn: Turn) -> None:
    turn.reset()


async def reset_in_head(turn: Turn) -> None:
    await turn.say(turn.head()[:20])
    turn.reset()


async def mute(turn: Turn) -> None:
    await turn.gone()


async def stall_in_head(turn: Turn) -> None:
    await turn.say(turn.head()[:20])
    await turn.gone()


async def no_http(turn: Turn) -> None:
    await turn.say(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


async def vast_head(turn: Turn) -> None:
    await turn.say(turn.head(*[b"x-%d: %b" % (number, b"a" * 1000) for number in range(1000)]))


# --- inside the body


async def reset_in_body(turn: Turn) -> None:
    await _half(turn)
    turn.reset()


async def stall_in_body(turn: Turn) -> None:
    await _half(turn)
    await turn.gone()


async def breaks_off(turn: Turn) -> None:
    """FIN where more was promised, in the middle of a frame."""
    await _half(turn)
    await turn.chunks(turn.pieces()[-1][:9], last=False)


async def ends_early(turn: Turn) -> None:
    """A body that ends as HTTP wants it, and not as the dialect does."""
    await turn.say(turn.head())
    await turn.chunks(*turn.half())


async def _half(turn: Turn) -> None:
    await turn.say(turn.head())
    await turn.chunks(*turn.half(), last=False)


async def slow_drip(turn: Turn) -> None:
    await turn.say(turn.head())
    body = b"".join(turn.pieces())
    for start in range(0, len(body), 16):
        await turn.chunks(body[start : start + 16], last=False)
        await asyncio.sleep(0.001)
    await turn.chunks()


async def never_ending(turn: Turn) -> None:
    """A stream goes on with text, a whole answer with blanks before its first brace."""
    await turn.say(turn.head())
    more = b" "
    if turn.stream:
        await turn.chunks(*turn.half(), last=False)
        more = turn.half()[-1]
    while True:
        await turn.chunks(more, last=False)
        await asyncio.sleep(0.02)


async def huge(turn: Turn) -> None:
    """200 MB: a whole answer that is announced, or one frame that never ends."""
    if turn.stream:
        await _half(turn)
        await turn.chunks(b'data: {"x":"', last=False)
        await _blocks(turn)
    else:
        await turn.say(turn.head(b"content-length: %d" % HUGE))
        for _ in range(0, HUGE, len(BLOCK)):
            await turn.say(BLOCK)


async def huge_unannounced(turn: Turn) -> None:
    """200 MB in chunks; in a stream they come before the first frame."""
    await turn.say(turn.head())
    await _blocks(turn)


async def _blocks(turn: Turn) -> None:
    for _ in range(0, HUGE, len(BLOCK)):
        await turn.chunks(BLOCK, last=False)


# --- statuses


def status(line: bytes, *lines: bytes, html: bool = False) -> Play:
    """An error answer of the dialect, or an HTML page."""

    async def play(turn: Turn) -> None:
        body, kind = (HTML, b"text/html") if html else (turn.spoken.failure, turn.spoken.whole_type)
        await turn.sized(body, *lines, status=line, kind=kind)

    return play


async def limited_until(turn: Turn) -> None:
    until = formatdate(time.time() + HINT, usegmt=True).encode()
    await status(b"429 Too Many Requests", b"retry-after: " + until)(turn)


async def limited_by_google(turn: Turn) -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{HINT}s"}
    error = {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": [retry]}
    body = json.dumps({"error": error}).encode()
    await turn.sized(body, status=b"429 Too Many Requests", kind=b"application/json")


def once(play: Play) -> Play:
    """The fault for the first request, and a good answer to those that follow."""

    async def played(turn: Turn) -> None:
        await (play(turn) if turn.first else turn.well())

    return played


# --- answers that are none


def page(kind: bytes | None) -> Play:
    """An HTML page with status 200; `kind` None: said to be what was asked for."""

    async def play(turn: Turn) -> None:
        await turn.sized(HTML, kind=kind)

    return play


async def empty(turn: Turn) -> None:
    await turn.sized(b"")


async def invalid_json(turn: Turn) -> None:
    """A whole answer without its end, or a good stream with a broken frame in it."""
    if not turn.stream:
        return await turn.sized(turn.spoken.whole[:-9])
    await turn.say(turn.head())
    middle = len(turn.spoken.events) // 2
    broken = turn.pieces()[middle].replace(b"}", b"", 1)
    return await turn.chunks(*turn.half(), broken, *turn.pieces()[middle + 1 :])


async def wrong_type(turn: Turn) -> None:
    """The right bytes as text/plain."""
    await turn.sized(b"".join(turn.pieces()), kind=b"text/plain")


async def crossed(turn: Turn) -> None:
    """A whole answer where a stream was asked for, and the other way round."""
    turn.stream = not turn.stream
    await turn.well()


async def redirected(turn: Turn) -> None:
    await turn.sized(b"", b"location: /well/elsewhere" + turn.spoken.path.encode(), status=b"307 Temporary Redirect")


async def error_at_first(turn: Turn) -> None:
    """An error with status 200."""
    if not turn.stream:
        return await turn.sized(turn.spoken.failure)
    await turn.say(turn.head())
    return await turn.chunks(turn.spoken.pack(turn.spoken.failure))


async def error_in_the_middle(turn: Turn) -> None:
    """After half of a stream, an error and the end; as a whole answer, a list of one error, as Gemini sends it."""
    if not turn.stream:
        return await turn.sized(b"[%b]" % turn.spoken.failure)
    await turn.say(turn.head())
    return await turn.chunks(*turn.half(), turn.spoken.pack(turn.spoken.failure))


# --- answers that are good in a way of their own


async def no_end_mark(turn: Turn) -> None:
    """Everything but the end mark; a whole answer without its length, ended by the close."""
    await turn.say(turn.head(b"x-ends: by close"))
    await turn.say(*(turn.pieces()[:-1] if turn.stream else turn.pieces()))


async def twice(turn: Turn) -> None:
    """The closing events of a stream twice; a whole answer twice, the second one to no request."""
    if not turn.stream:
        body = turn.spoken.whole
        answer = turn.head(b"content-length: %d" % len(body)).replace(b"connection: close\r\n", b"") + body
        return await turn.say(answer * 2)
    frames = turn.pieces()
    ends = [frame for frame in frames[-turn.spoken.closing :] for _ in range(2)]
    await turn.say(turn.head())
    return await turn.chunks(*frames[: -turn.spoken.closing], *ends)


async def zipped(turn: Turn) -> None:
    """gzip, though not asked for."""
    await turn.sized(gzip.compress(b"".join(turn.pieces())), b"content-encoding: gzip")


async def falsely_zipped(turn: Turn) -> None:
    await turn.sized(b"".join(turn.pieces()), b"content-encoding: gzip")


async def wrong_usage(turn: Turn) -> None:
    await turn.well(turn.spoken.with_wrong_usage())


async def no_usage(turn: Turn) -> None:
    await turn.well(turn.spoken.without_usage())


_UNREACHABLE, _TIMEOUT, _ODD = "provider_unreachable", "provider_timeout", "provider_unexpected_response"
_BUSY, _LIMITED = "provider_unavailable", "provider_rate_limited"
_429 = b"429 Too Many Requests"

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("refused", None, _UNREACHABLE, _UNREACHABLE),
        Fault("closed", closed, _UNREACHABLE, _UNREACHABLE),
        Fault("reset_at_once", reset_at_once, _UNREACHABLE, _UNREACHABLE),
        Fault("reset_in_head", reset_in_head, _UNREACHABLE, _UNREACHABLE),
        Fault("reset_in_body", reset_in_body, _UNREACHABLE, "broken"),
        Fault("mute", mute, _TIMEOUT, _TIMEOUT),
        Fault("stall_in_head", stall_in_head, _TIMEOUT, _TIMEOUT),
        Fault("stall_in_body", stall_in_body, _TIMEOUT, "broken"),
        Fault("no_http", no_http, _ODD, _ODD),
        Fault("vast_head", vast_head, _ODD, _ODD),
        Fault("breaks_off", breaks_off, _UNREACHABLE, "broken"),
        Fault("ends_early", ends_early, _ODD, "broken"),
        Fault("slow_drip", slow_drip, "answer", "answer"),
        Fault("never_ending", never_ending, _TIMEOUT, "broken"),
        Fault("huge", huge, _ODD, "broken"),
        Fault("huge_unannounced", huge_unannounced, _ODD, _ODD),
        Fault("429_seconds", status(_429, b"retry-after: %d" % HINT), _LIMITED, _LIMITED, hint=HINT),
        Fault("429_date", limited_until, _LIMITED, _LIMITED, hint=HINT),
        Fault("429_ms", status(_429, b"retry-after-ms: %d" % (1000 * HINT)), _LIMITED, _LIMITED, hint=HINT),
        Fault("429_google", limited_by_google, _LIMITED, _LIMITED, hint=HINT),
        Fault("429_bare", status(_429), _LIMITED, _LIMITED),
        Fault("500", status(b"500 Internal Server Error"), _BUSY, _BUSY),
        Fault("502", status(b"502 Bad Gateway", html=True), _BUSY, _BUSY),
        Fault("503", status(b"503 Service Unavailable"), _BUSY, _BUSY),
        Fault("529", status(b"529 Overloaded"), _BUSY, _BUSY),
        Fault("once_503", once(status(b"503 Service Unavailable")), "answer", "answer"),
        Fault("once_429", once(status(_429, b"retry-after-ms: 50")), "answer", "answer"),
        Fault("once_closed", once(closed), "answer", "answer"),
        Fault("html", page(b"text/html"), _ODD, _ODD),
        Fault("html_disguised", page(None), _ODD, _ODD),
        Fault("empty", empty, _ODD, _ODD),
        Fault("invalid_json", invalid_json, _ODD, "broken", relayed="as it is"),
        Fault("wrong_type", wrong_type, "answer", _ODD),
        Fault("crossed", crossed, _ODD, _ODD),
        Fault("redirected", redirected, _ODD, _ODD),
        Fault("error_at_first", error_at_first, "provider_", "provider_"),
        Fault("error_in_the_middle", error_in_the_middle, "provider_", "broken"),
        Fault("no_end_mark", no_end_mark, "answer", "answer"),
        Fault("twice", twice, "answer", "answer"),
        Fault("zipped", zipped, "answer", "answer"),
        Fault("falsely_zipped", falsely_zipped, _ODD, _ODD),
        Fault("wrong_usage", wrong_usage, "answer", "answer"),
        Fault("no_usage", no_usage, "answer", "answer"),
    )
}
"""All faults by name; `play` None: nobody listens."""
