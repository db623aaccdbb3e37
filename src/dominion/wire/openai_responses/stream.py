"""Streams of OpenAI Responses, watched and read. Never goes by the ids of items: Copilot changes them at each event.

Grammar: reference/providers.md 1.2. An item is known by its `output_index`; the stream ends with response.completed,
.incomplete, .failed or an error, and whatever follows is not of the answer.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import (
    Event,
    Failed,
    Finished,
    Metered,
    Part,
    Refusal,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat.errors import mask, tell
from dominion.wire.openai_responses.answer import Glance, Response, finish_of, note, output_parts
from dominion.wire.openai_responses.items import (
    BETWEEN_SUMMARIES,
    ITEM,
    KIND,
    KNOWN,
    Item,
    read_parts,
    read_usage,
    seal_of,
)
from dominion.wire.sse import Frame, FrameReader, FrameTap

LARGEST_FRAME = 32 << 20
"""Bytes. The last frame holds the whole answer again, generated images included."""

_LONGEST_MESSAGE = 2_000
_ABSENT = msgspec.Raw(b"null")
_MARK = re.compile(rb'response\.(?:created|completed|incomplete|failed)\b|event: ?error|"type": ?"error"')
_DELTA = re.compile(rb'"delta": ?"([^"\\]*(?:\\.[^"\\]*)*)')


class _Event(msgspec.Struct):
    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: Any = None
    item: msgspec.Raw = _ABSENT
    response: msgspec.Raw = _ABSENT


class _Told(msgspec.Struct):
    """What a tap reads of a frame."""

    type: Any = None
    response: Glance | None = None


_EVENT = msgspec.json.Decoder(_Event)
_RESPONSE = msgspec.json.Decoder(Response)
_TOLD = msgspec.json.Decoder(_Told)
_ANYTHING = msgspec.json.Decoder(Any)


# --- watching


class ResponsesTap(FrameTap):
    """The tap of a relayed stream; here the text of a frame stands in `delta` itself."""

    def __init__(self) -> None:
        super().__init__(_look, marked=_MARK.search, delta=b"", limit=LARGEST_FRAME)
        self._texts = _DELTA.findall


def _look(seen: Seen, found: Frame) -> bool:
    """Take down what a frame tells; it goes on in any case, even one that is odd."""
    try:
        told = decode_answer(_TOLD, found.data)
    except UnexpectedResponse:
        told = _Told()
    kind = told.type or found.event
    if seen.done:
        return False
    if kind == "error":
        seen.failed = _failed(found).message or "error"
    elif kind in ("response.created", "response.completed", "response.incomplete", "response.failed"):
        note(seen, told.response or Glance(status="in_progress"))
        seen.done = kind != "response.created"
    return False


def _failed(found: Frame) -> Failed:
    """The words of an error, which stand in the event itself, in its `error`, or in that of its response."""
    try:
        value: Any = decode_answer(_ANYTHING, found.data)
    except UnexpectedResponse:
        value = found.data.decode(errors="replace")
    response = value.get("response") if isinstance(value, dict) else None
    said = tell(response if isinstance(response, dict) else value)
    return Failed(mask(said.message[:_LONGEST_MESSAGE]), said.code or said.kind)


# --- reading


class _Open:
    """An item under way: the parts of its contents, and which of summary or raw text its thought is told by."""

    def __init__(self) -> None:
        self.parts: dict[int, int] = {}
        self.told_by = ""
        self.last_summary = 0


class Reader:
    """A provider's stream as events. What came in no delta is taken from the item as it was at its end."""

    def __init__(self) -> None:
        self._frames = FrameReader(LARGEST_FRAME)
        self._items: dict[int, _Open] = {}
        self._next = 0
        self._started = self._ended = self._refused = self._called = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises UnexpectedResponse."""
        return [event for found in self._frames.feed(chunk) for event in self._read(found)]

    def end(self) -> list[Event]:
        """Events completed by the end. Raises UnexpectedResponse when the answer was not ended."""
        events = [event for found in self._frames.end() for event in self._read(found)]
        if not self._ended:
            raise UnexpectedResponse("The provider broke off its answer.")
        return events

    def _read(self, found: Frame) -> list[Event]:
        if self._ended or found.data.startswith(b"[DONE]"):
            return []
        event = decode_answer(_EVENT, found.data)
        event.type = event.type or found.event
        if event.type in ("error", "response.failed"):
            return self._fail(found, event)
        read = self._readers.get(event.type)
        return [] if read is None else read(self, event)

    def _start(self, event: _Event) -> list[Event]:
        return self._begin(decode_answer(_RESPONSE, event.response))

    def _begin(self, response: Response) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Started(response.id or "", response.model or "")]

    def _finish(self, event: _Event) -> list[Event]:
        response = decode_answer(_RESPONSE, event.response)
        events = self._begin(response)
        if not self._next:
            events += [more for part in output_parts(response) for more in self._whole(part)]
        self._ended = True
        usage = read_usage(response.usage)
        finish = finish_of(response, refused=self._refused, calls=self._called)
        return [*events, Finished(finish), *([] if usage is None else [Metered(usage)])]

    def _fail(self, found: Frame, event: _Event) -> list[Event]:
        self._ended = True
        response = None if event.response == _ABSENT else decode_answer(_RESPONSE, event.response)
        usage = None if response is None else read_usage(response.usage)
        return [*([] if usage is None else [Metered(usage)]), _failed(found)]

    # --- items

    def _open(self, event: _Event) -> _Open:
        return self._items.setdefault(event.output_index, _Open())

    def _part(self, item: _Open, content: int) -> int:
        if content not in item.parts:
            item.parts[content] = self._next
            self._next += 1
        return item.parts[content]

    def _text(self, event: _Event) -> list[Event]:
        return [TextDelta(self._part(self._open(event), event.content_index), text) for text in _told(event)]

    def _refusal(self, event: _Event) -> list[Event]:
        self._refused = True
        return [RefusalDelta(self._part(self._open(event), event.content_index), text) for text in _told(event)]

    def _arguments(self, event: _Event) -> list[Event]:
        item = self._open(event)
        if not item.parts:
            raise UnexpectedResponse("The provider sent arguments of a call that it has not begun.")
        item.told_by = event.type
        return [ToolCallDelta(item.parts[0], text) for text in _told(event)]

    def _thought(self, event: _Event) -> list[Event]:
        """More of a thought. Told both in summary and raw, the one that came first holds."""
        item = self._open(event)
        if item.told_by not in ("", event.type) or not event.delta:
            return []
        item.told_by = event.type
        gap = BETWEEN_SUMMARIES if event.summary_index != item.last_summary else ""
        item.last_summary = event.summary_index
        return [ThinkingDelta(self._part(item, 0), gap + text) for text in _told(event)]

    def _added(self, event: _Event) -> list[Event]:
        item = _known(event)
        if item is None or item.type != "function_call":
            return []
        self._called = True
        opened = self._open(event)
        opened.told_by = "added" if item.arguments else ""
        return [
            ToolCallDelta(self._part(opened, 0), item.arguments or "", item.call_id or item.id or "", item.name or "")
        ]

    def _done(self, event: _Event) -> list[Event]:
        item = _known(event)
        if item is None:
            return []
        opened = self._open(event)
        if item.type == "reasoning" and opened.parts:
            seal = seal_of(item)
            return [ThinkingDelta(opened.parts[0], signature=seal)] if seal else []
        if item.type == "function_call" and opened.parts:
            silent = not opened.told_by and item.arguments
            return [ToolCallDelta(opened.parts[0], item.arguments or "")] if silent else []
        if opened.parts:
            return []
        return [more for part in read_parts(item, set()) for more in self._whole(part)]

    def _whole(self, part: Part) -> list[Event]:
        """A part that came in one piece."""
        number = self._next
        self._next += 1
        match part:
            case Text(text):
                return [TextDelta(number, text)]
            case Thinking(text, signature, redacted):
                return [ThinkingDelta(number, text, signature, redacted)]
            case ToolCall(call_id, name, arguments):
                self._called = True
                return [ToolCallDelta(number, arguments, call_id, name)]
            case Refusal(text):
                self._refused = True
                return [RefusalDelta(number, text)]
        return []

    _readers: ClassVar[Mapping[str, Callable[["Reader", _Event], list[Event]]]] = {
        "response.output_text.delta": _text,
        "response.refusal.delta": _refusal,
        "response.function_call_arguments.delta": _arguments,
        "response.reasoning_summary_text.delta": _thought,
        "response.reasoning_text.delta": _thought,
        "response.output_item.added": _added,
        "response.output_item.done": _done,
        "response.created": _start,
        "response.in_progress": _start,
        "response.completed": _finish,
        "response.incomplete": _finish,
    }


def _told(event: _Event) -> list[str]:
    """The text of a delta, if there is any."""
    return [event.delta] if isinstance(event.delta, str) and event.delta else []


def _known(event: _Event) -> Item | None:
    """The item of an event, if it is of a kind that has a place."""
    if event.item == _ABSENT or decode_answer(KIND, event.item).type not in KNOWN:
        return None
    return decode_answer(ITEM, event.item)
