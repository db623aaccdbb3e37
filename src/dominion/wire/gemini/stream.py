"""Streams of the Gemini API: bytes to events, events to bytes, and the tap. Never keeps the text.

Grammar (reference/providers.md 1.2): each frame is an answer of its own with what is new; counts stand in every frame
and the last ones hold; the frame with a finish reason ends the answer, there is no other mark.
"""

from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import (
    Event,
    Failed,
    Finished,
    Image,
    Metered,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.fields import decode_answer
from dominion.wire.gemini.answer import CALL_MARK, Message, finish_of, look, read_usage, write_candidate, write_head
from dominion.wire.gemini.errors import failure_of, write_failure
from dominion.wire.gemini.parts import Call, Part, call_ids, read_part, write_call, write_thinking
from dominion.wire.gemini.pieces import OpenCall, goes_on
from dominion.wire.openai_chat.shapes import image_text
from dominion.wire.sse import Frame, FrameReader, FrameTap, frame

FRAME_LIMIT = 16 << 20
"""Bytes. Images come whole in one frame."""

_MESSAGE = msgspec.json.Decoder(Message)


class Reader:
    """A provider's stream as events. Images have no event: they become a text that shows them."""

    def __init__(self) -> None:
        self._frames = FrameReader(FRAME_LIMIT)
        self._ids = call_ids()
        self._part = -1
        self._held = ""
        self._open: OpenCall | None = None
        self._started = self._called = self._ended = False
        self._usage: Usage | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises UnexpectedResponse."""
        return [event for found in self._frames.feed(chunk) for event in self._read(found)]

    def end(self) -> list[Event]:
        """Events completed by the end. Raises UnexpectedResponse when neither a finish reason nor an error has come."""
        events = [event for found in self._frames.end() for event in self._read(found)]
        if not self._ended:
            raise UnexpectedResponse("The provider broke off its answer.")
        return events

    def _read(self, found: Frame) -> list[Event]:
        message = decode_answer(_MESSAGE, found.data)
        if message.error is not None:
            self._ended = True
            return [failure_of(found.data)]
        events: list[Event] = []
        if not self._started:
            self._started = True
            self._ids = call_ids(message.response_id or "")
            events.append(Started(message.response_id or "", message.model_version or ""))
        for candidate in message.candidates or ():
            for part in (candidate.content and candidate.content.parts) or ():
                events += self._read_part(part)
            if candidate.finish_reason:
                events += self._finish(candidate.finish_reason, candidate.finish_message or "")
        if message.blocked is not None:
            events += self._finish("SAFETY", message.blocked.block_reason_message or "")
        usage = read_usage(message.usage_metadata)
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(Metered(usage))
        return events

    def _read_part(self, part: Part) -> list[Event]:
        call = part.function_call
        if call is not None and not call.name:
            return self._more(call)
        told = [event for found in read_part(part, self._ids, set()) for event in self._told(found)]
        events = [*self._close(), *told] if told else []
        if call is not None and goes_on(call):
            self._open = OpenCall(self._part, call)
            events[-1] = msgspec.structs.replace(events[-1], arguments="")
        return events

    def _more(self, call: Call) -> list[Event]:
        """More arguments of the open call, or its bare end mark (which may also come when it has ended)."""
        if self._open is None:
            return []
        self._open.add(call)
        return [] if call.will_continue else self._close()

    def _close(self) -> list[Event]:
        """The arguments of a call that came in pieces."""
        call, self._open = self._open, None
        return [] if call is None else [ToolCallDelta(call.part, call.arguments())]

    def _told(self, part: Any) -> list[Event]:
        match part:
            case Text(text):
                return [TextDelta(self._place("text"), text)]
            case Image():  # streams have no event for one
                return [TextDelta(self._place("text"), image_text(part))]
            case Thinking(text, signature, redacted):
                place = self._place("sealed" if redacted else "thinking")
                if signature or redacted:
                    self._held = ""
                return [ThinkingDelta(place, text, signature, redacted)]
            case ToolCall():
                self._called, self._held = True, ""
                place = self._place("call")
                return [ToolCallDelta(place, part.arguments, part.id, part.name, part.signature)]
        return []

    def _finish(self, reason: str | int, words: str) -> list[Event]:
        if self._ended:
            return []
        self._ended = True
        finish = finish_of(reason, calls=self._called)
        refusal = [RefusalDelta(self._part + 1, words)] if words and finish == "content_filter" else []
        return [*self._close(), *refusal, Finished(finish)]

    def _place(self, kind: str) -> int:
        """The number of the part that holds this; a new one when it is not what the last one held."""
        if kind != self._held:
            self._held = kind
            self._part += 1
        return self._part


class Writer:
    """Events as the stream of a caller. Calls have no pieces here: they go out whole, before what follows them."""

    def __init__(self) -> None:
        self._started = Started("", "")
        self._calls: dict[int, ToolCallDelta] = {}
        self._finished = Finished("stop")
        self._usage: Usage | None = None
        self._refusal = ""
        self._failed = False

    def write(self, event: Event) -> bytes:
        """The bytes of this event; empty for what comes with the end."""
        match event:
            case TextDelta(_, text):
                return self._flush() + self._chunk([{"text": text}])
            case ThinkingDelta(_, text, signature, redacted):
                return self._flush() + self._chunk([write_thinking(Thinking(text, signature, redacted))])
            case ToolCallDelta(part, arguments):
                known = self._calls.get(part)
                gathered = (
                    event if known is None else msgspec.structs.replace(known, arguments=known.arguments + arguments)
                )
                self._calls[part] = gathered
            case RefusalDelta(_, text):
                self._refusal += text
            case Started():
                self._started = event
            case Finished():
                self._finished = event
            case Metered(usage):
                self._usage = usage
            case Failed():
                self._failed = True
                return frame(write_failure(event))
        return b""

    def end(self) -> bytes:
        """The last chunk, with finish and counts; nothing after a failure, which ends a stream by itself."""
        if self._failed:
            return b""
        candidate = write_candidate([{"text": ""}], self._finished.reason, self._refusal)
        return self._flush() + self._frame(candidate, self._usage)

    def _flush(self) -> bytes:
        calls = [
            ToolCall(call.id, call.name, call.arguments, signature=call.signature) for call in self._calls.values()
        ]
        self._calls.clear()
        return self._chunk([write_call(call, set()) for call in calls]) if calls else b""

    def _chunk(self, parts: list[dict[str, Any]]) -> bytes:
        return self._frame({"content": {"parts": parts, "role": "model"}, "index": 0}, None)

    def _frame(self, candidate: dict[str, Any], usage: Usage | None) -> bytes:
        head = write_head(self._started.id, self._started.model, usage)
        return frame(msgspec.json.encode({"candidates": [candidate], **head}))


class ArrayWriter:
    """A stream of ours or of a provider as the JSON array that callers without `alt=sse` expect."""

    def __init__(self) -> None:
        self._frames = FrameReader(FRAME_LIMIT)
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        """The elements completed by this chunk of server-sent events. Raises UnexpectedResponse for a huge one."""
        return b"".join(map(self._element, self._frames.feed(chunk)))

    def end(self) -> bytes:
        """The last element, if its frame had no end, and the end of the array."""
        return b"".join(map(self._element, self._frames.end())) + (b"\n]" if self._begun else b"[]")

    def _element(self, found: Frame) -> bytes:
        before, self._begun = (b"\n,\r\n" if self._begun else b"["), True
        return before + found.data


class _Watch:
    """Reads the frames that the tap finds."""

    def __init__(self) -> None:
        self._called = False

    def look(self, seen: Seen, found: Frame) -> bool:
        """Take counts, finish, model or failure out of a frame; the frame itself goes on, even one that is odd."""
        self._called = self._called or CALL_MARK in found.data
        try:
            look(seen, found.data, calls=self._called)
        except UnexpectedResponse:
            return False  # relayed as it is; counts that cannot be read are estimated in the end
        seen.done = bool(seen.finish) and seen.usage is not None
        return False


def tap() -> FrameTap:
    """The tap of a relayed stream; every frame has counts that may be the last."""
    return FrameTap(_Watch().look, marked=bool, delta=b'"parts"', limit=FRAME_LIMIT)
