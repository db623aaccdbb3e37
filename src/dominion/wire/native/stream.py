"""Streams of this gateway's own API, in both roles: typed frames, then one of type "done", then [DONE].

{"type": "text", "text"} · {"type": "reasoning", "index", "text"? | "signature"? | "redacted"?} ·
{"type": "refusal", "text"} · {"type": "tool_call", "index", "arguments", "id"?, "name"?, "extra_content"?} ·
{"type": "done", "id", "model", "finish_reason", "usage"?, "stop_sequence"?} ·
{"type": "error", "error", "message", ...}.
Never sends an id before the end: the provider may tell it late.
"""

from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Metered,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from dominion.wire.fields import decode_answer
from dominion.wire.native.answer import NativeUsage, read_usage, write_usage
from dominion.wire.openai_chat.errors import mask
from dominion.wire.openai_chat.shapes import Extra, extra_content, signature_of
from dominion.wire.sse import Frame, FrameReader, FrameTap, frame

DONE = b"[DONE]"


class _Text(msgspec.Struct, tag="text"):
    text: str


class _Reasoning(msgspec.Struct, tag="reasoning", omit_defaults=True):
    index: int
    text: str = ""
    signature: str = ""
    redacted: str = ""


class _Refusal(msgspec.Struct, tag="refusal"):
    text: str


class _ToolCall(msgspec.Struct, tag="tool_call", omit_defaults=True):
    index: int
    arguments: str
    id: str = ""
    name: str = ""
    extra_content: Extra | None = None


class _Done(msgspec.Struct, tag="done", omit_defaults=True):
    id: str
    model: str
    finish_reason: FinishReason
    usage: NativeUsage | None = None
    stop_sequence: str = ""


class _Error(msgspec.Struct, tag="error"):
    error: str
    message: str


_FRAME = msgspec.json.Decoder(_Text | _Reasoning | _Refusal | _ToolCall | _Done | _Error)


class NativeReader:
    """A gateway's stream as events."""

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._part = -1
        self._held: tuple[str, int] = ("", 0)
        self._calls: dict[int, int] = {}
        self._ended = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises UnexpectedResponse."""
        return [event for found in self._frames.feed(chunk) for event in self._read(found)]

    def end(self) -> list[Event]:
        """Events completed by the end. Raises UnexpectedResponse when neither "done" nor an error has come."""
        events = [event for found in self._frames.end() for event in self._read(found)]
        if not self._ended:
            raise UnexpectedResponse("The gateway broke off its answer.")
        return events

    def _read(self, found: Frame) -> list[Event]:
        if found.data == DONE:
            return []
        events: list[Event] = []
        match decode_answer(_FRAME, found.data):
            case _Text(text):
                events = [TextDelta(self._place("text"), text)]
            case _Refusal(text):
                events = [RefusalDelta(self._place("refusal"), text)]
            case _Reasoning(index, text, signature, redacted):
                events = [ThinkingDelta(self._place("reasoning", index), text, signature, redacted)]
            case _ToolCall(index, arguments, call_id, name, extra):
                if index not in self._calls:
                    self._calls[index] = self._place("tool_call", index)
                events = [ToolCallDelta(self._calls[index], arguments, call_id, name, signature_of(extra))]
            case _Done() as done:
                events = self._done(done)
            case _Error(error, message):
                self._ended = True
                events = [Failed(message, error)]
        return events

    def _done(self, done: _Done) -> list[Event]:
        self._ended = True
        usage = read_usage(done.usage)
        metered: list[Event] = [] if usage is None else [Metered(usage)]
        return [Started(done.id, done.model), Finished(done.finish_reason, done.stop_sequence), *metered]

    def _place(self, kind: str, index: int = 0) -> int:
        if self._held != (kind, index):
            self._held = (kind, index)
            self._part += 1
        return self._part


class NativeWriter:
    """Events as the stream of a caller."""

    def __init__(self) -> None:
        self._done = _Done("", "", "stop")
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, int] = {}
        self._failed = False

    def write(self, event: Event) -> bytes:
        """The frame of this event; empty for what the last frame tells."""
        match event:
            case TextDelta(_, text):
                return _frame(_Text(text))
            case RefusalDelta(_, text):
                return _frame(_Refusal(text))
            case ThinkingDelta(part, text, signature, redacted):
                index = self._thoughts.setdefault(part, len(self._thoughts))
                return _frame(_Reasoning(index, text, signature, redacted))
            case ToolCallDelta(part, arguments, call_id, name, signature):
                index = self._calls.setdefault(part, len(self._calls))
                return _frame(_ToolCall(index, arguments, call_id, name, **extra_content(signature)))
            case Failed(message, kind):
                self._failed = True
                return _frame(_Error(kind or "provider_error", mask(message) or "The provider failed."))
        self._note(event)
        return b""

    def end(self) -> bytes:
        """The last frame, unless an error was it, and the end mark."""
        return (b"" if self._failed else _frame(self._done)) + frame(DONE)

    def _note(self, event: Event) -> None:
        done = self._done
        match event:
            case Started(answer_id, model):
                done.id, done.model = answer_id, model
            case Finished(reason, stop_sequence):
                done.finish_reason, done.stop_sequence = reason, stop_sequence
            case Metered(usage):
                done.usage = write_usage(usage)


def native_tap() -> FrameTap:
    """For a relayed stream."""
    return FrameTap(_look, marked=_marked, delta=b'{"type":"')


def write_error_frame(fields: dict[str, Any]) -> bytes:
    """An error, which ends the stream."""
    return frame(msgspec.json.encode({"type": "error", **fields})) + frame(DONE)


def _marked(piece: bytes) -> bool:
    return b'"done"' in piece or b'"error"' in piece or DONE in piece


def _look(seen: Seen, found: Frame) -> bool:
    if found.data == DONE:
        seen.done = True
        return False
    try:
        told = decode_answer(_FRAME, found.data)
    except UnexpectedResponse:
        return False  # relayed as it is
    if isinstance(told, _Done):
        seen.usage, seen.finish, seen.model = read_usage(told.usage), told.finish_reason, told.model
    elif isinstance(told, _Error):
        seen.failed = mask(told.message) or told.error
    return False


def _frame(fields: msgspec.Struct) -> bytes:
    return frame(msgspec.json.encode(fields))
