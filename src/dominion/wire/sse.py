"""Server-sent events: bytes to frames and back, and the tap that watches relayed frames. Never parses JSON.

Grammar: the WHATWG HTML standard, section "Interpreting an event stream". Two liberties, both seen at real providers:
the last frame counts without its closing blank line, and a frame without an event name has the name "".
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse

FRAME_LIMIT = 1 << 20
"""Bytes. No provider's frame is near it; a stream without frame ends must not fill the memory."""

_BOM = b"\xef\xbb\xbf"
_LF_END, _CRLF_END = b"\n\n", b"\n\r\n"
_PATTERNS = {end: re.compile(end or rb"\n\n|[\n\r]\r\n?") for end in (_LF_END, _CRLF_END, b"")}
_NAMED = re.compile(rb"(?:event: ([^\r\n]*)\r?\n)?data: (\{[^\r\n]*)\r?\n\r?\n").fullmatch
_TEXT_AFTER = rb'[^}]{0,400}?"(?:content|reasoning|reasoning_content|arguments|text|thinking|partial_json)": ?"'
_STRING = rb'([^"\\]*(?:\\.[^"\\]*)*)'


class Frame(NamedTuple):
    """One event of a stream; `event` is "" when the provider named none, `data` joins the data lines with LF."""

    event: str
    data: bytes


def frame(data: bytes, event: str | None = None) -> bytes:
    """The bytes of one event; `data` is one line (compact JSON is)."""
    return b"data: %b\n\n" % data if event is None else b"event: %b\ndata: %b\n\n" % (event.encode(), data)


def parse(raw: bytes) -> Frame | None:
    """One raw frame read; None when it holds no data (comments, a lone event name, blank lines)."""
    # The two forms that almost every frame has, the first even faster.
    if raw.startswith(b"data: {") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return Frame("", raw[6:-2])
    named = _NAMED(raw)
    if named is not None:
        return Frame((named[1] or b"").decode("utf-8", "replace"), named[2])
    event, data = "", []
    for line in raw.removeprefix(_BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ").decode("utf-8", "replace")
    return Frame(event, b"\n".join(data)) if data else None


class Cutter:
    """Cuts a stream into raw frames, each with its closing blank line, however the bytes arrive."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self.held = bytearray()
        self._limit = limit

    def cut(self, chunk: bytes) -> list[bytes]:
        """The raw frames completed by this chunk. Raises UnexpectedResponse when a frame outgrows the limit."""
        held = self.held
        if not held and (end := _frame_end(chunk)):
            *whole, rest = chunk.split(end)
            frames = [raw + end for raw in whole]
            held += rest
        else:
            frames = self._search(chunk)
        if len(held) > self._limit or any(len(raw) > self._limit for raw in frames):
            raise UnexpectedResponse(f"The provider sent a stream frame of more than {self._limit} bytes.")
        return frames

    def _search(self, chunk: bytes) -> list[bytes]:
        held, frames, start = self.held, [], 0
        searched = max(len(held) - 3, 0)
        held += chunk
        # The part searched before is not searched again: a frame that comes in a thousand pieces costs no more.
        for match in _PATTERNS[_frame_end(bytes(held[searched:]))].finditer(held, searched):
            frames.append(bytes(held[start : match.end()]))
            start = match.end()
        del held[:start]
        return frames

    def rest(self) -> bytes:
        """What came after the last frame's end, at the end of the stream."""
        rest = bytes(self.held)
        self.held.clear()
        return rest


def _frame_end(piece: bytes) -> bytes:
    """What frames end with; empty where line ends are mixed, which is slow to search, and almost no server does."""
    if b"\r" not in piece:
        return _LF_END
    pairs = piece.count(b"\r\n")
    only_pairs = piece.count(b"\n") == pairs == piece.count(b"\r") - piece.endswith(b"\r")
    return _CRLF_END if only_pairs else b""


class FrameReader:
    """Frames of a stream as they complete."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._cutter = Cutter(limit)

    def feed(self, chunk: bytes) -> list[Frame]:
        """Frames completed by this chunk. Raises UnexpectedResponse when one outgrows the limit."""
        return [found for raw in self._cutter.cut(chunk) if (found := parse(raw)) is not None]

    def end(self) -> list[Frame]:
        """The last frame, if its closing blank line never came."""
        found = parse(self._cutter.rest())
        return [] if found is None else [found]


class FrameTap:
    """Watches a relayed stream; the `Tap` of every dialect that speaks in server-sent events.

    `marked` says, by a byte search, whether a piece of the stream holds anything worth parsing; it must never say no
    to a frame that `look` needs. `look` reads such a frame into `seen` and returns True when it is to be taken out,
    which happens only if `hide`. `delta` is a byte string before the text of every frame that carries content; the
    text is measured, not read, and only one text a frame: it is for the estimate when usage never comes.
    """

    def __init__(
        self,
        look: Callable[[Seen, Frame], bool],
        *,
        marked: Callable[[bytes], object],
        delta: bytes,
        hide: bool = False,
        limit: int = FRAME_LIMIT,
    ) -> None:
        self.seen = Seen()
        self._look = look
        self._marked = marked
        self._texts = re.compile(re.escape(delta) + _TEXT_AFTER + _STRING).findall
        self._hide = hide
        self._cutter = Cutter(limit)

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to relay now: this chunk, or when hiding, the whole frames so far without the hidden ones."""
        if not self._cutter.held and chunk.endswith(b"\n\n") and not self._marked(chunk):
            self._count(chunk)
            return chunk
        kept = [raw for raw in self._cutter.cut(chunk) if not self._inspect(raw)]
        return b"".join(kept) if self._hide else chunk

    def end(self) -> bytes:
        """What was held back, when the provider has closed the stream."""
        rest = self._cutter.rest()
        hidden = self._inspect(rest)
        return rest if self._hide and not hidden else b""

    def _inspect(self, raw: bytes) -> bool:
        self._count(raw)
        if not self._marked(raw):
            return False
        found = parse(raw)
        return found is not None and self._look(self.seen, found)

    def _count(self, piece: bytes) -> None:
        texts = self._texts(piece)
        self.seen.frames += len(texts)
        self.seen.content_bytes += sum(map(len, texts))
