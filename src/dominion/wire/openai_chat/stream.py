"""Streams of OpenAI chat completions: watched, read and written. Never parses a relayed frame without need."""

import re
from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Image,
    Metered,
    Refusal,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat import shapes
from dominion.wire.openai_chat.errors import mask, tell
from dominion.wire.sse import Frame, FrameReader, FrameTap, frame

DONE = b"[DONE]"

_LONGEST_MESSAGE = 2_000
_MARK = re.compile(rb'"(?:usage|finish_reason|error)"\s*:\s*["{]')


class _Groq(msgspec.Struct):
    usage: Any = None
    error: Any = None


class _AnyChunk(msgspec.Struct, kw_only=True):
    id: str | None = None
    model: str | None = None
    usage: Any = None
    x_groq: _Groq | None = None
    error: Any = None
    message: Any = None


class _End(msgspec.Struct):
    finish_reason: str | None = None


class _Told(_AnyChunk, kw_only=True):
    """What a tap reads of a frame."""

    choices: list[_End] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: shapes.Message | None = None
    finish_reason: str | None = None


class _Chunk(_AnyChunk, kw_only=True):
    """What a reader reads of a frame."""

    choices: list[_Choice] | None = None


_TOLD = msgspec.json.Decoder(_Told)
_CHUNK = msgspec.json.Decoder(_Chunk)


# --- watching


def tap(*, hide_usage: bool) -> FrameTap:
    """For a relayed stream."""
    return FrameTap(_look, marked=_marked, delta=b'"delta"', hide=hide_usage)


def _marked(piece: bytes) -> bool:
    if _MARK.search(piece) is not None:
        return True
    one_line_of_json = piece.startswith(b"data: {") and piece.find(b"\n") == len(piece) - 2
    return not one_line_of_json and (DONE in piece or b"event:" in piece)


def _look(seen: Seen, found: Frame) -> bool:
    """Note what a frame tells; True when it holds nothing but the usage (`choices` is empty)."""
    if found.data.startswith(DONE):
        seen.done = True
        return False
    try:
        told = decode_answer(_TOLD, found.data)
    except UnexpectedResponse:
        return False  # it is relayed as it is; usage that cannot be read is estimated in the end
    failed = _failed(found, told)
    if failed:
        seen.failed = failed.message or failed.kind or "error"
    seen.model = told.model or seen.model
    for choice in told.choices or ():
        if choice.finish_reason:
            seen.finish = shapes.FINISH.get(choice.finish_reason, "stop")
    usage = _usage(told)
    seen.usage = usage or seen.usage
    return usage is not None and not told.choices and not failed


def _failed(found: Frame, told: _AnyChunk) -> Failed | None:
    error = told.error or (told.x_groq and told.x_groq.error)
    if not error and found.event == "error":
        error = told.message or "error"
    if not error:
        return None
    said = tell({"error": error})
    return Failed(mask(said.message[:_LONGEST_MESSAGE]), said.code or said.kind)


def _usage(told: _AnyChunk) -> Usage | None:
    return shapes.read_usage(told.usage) or (shapes.read_usage(told.x_groq.usage) if told.x_groq else None)


# --- reading


class Reader:
    """A provider's stream as events.

    Told apart by their place: reasoning entries by `index`, tool calls by choice and `index` (or by id, where a server
    counts all of them as 0 or not at all).
    """

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._part = -1
        self._open: tuple[object, ...] = ()
        self._calls: dict[tuple[int, int], tuple[str, int]] = {}
        self._started = self._refused = self._done = self._finished = False
        self._usage: Usage | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises UnexpectedResponse for what is not the dialect."""
        return [event for found in self._frames.feed(chunk) for event in self._read(found)]

    def end(self) -> list[Event]:
        """Events of a last frame without its end. Raises UnexpectedResponse when neither [DONE] nor a finish came."""
        events = [event for found in self._frames.end() for event in self._read(found)]
        if not (self._done or self._finished):
            raise UnexpectedResponse("The provider broke off its answer.")
        return events

    def _read(self, found: Frame) -> list[Event]:
        if self._done or not found.data.strip():
            return []
        if found.data.startswith(DONE):
            self._done = True
            return [] if self._finished or not self._started else [Finished(self._reason(""))]
        chunk = decode_answer(_CHUNK, found.data)
        events: list[Event] = []
        failed = _failed(found, chunk)
        for choice in chunk.choices or ():
            if choice.delta is not None:
                self._read_delta(choice.index, choice.delta, events)
            if choice.finish_reason and not (self._finished or failed):
                self._finished = True
                events.append(Finished(self._reason(choice.finish_reason)))
        usage = _usage(chunk)
        if usage is not None and usage != self._usage:
            self._usage = usage
            events.append(Metered(usage))
        # Azure's first chunk has neither id nor model: the stream starts when there is something to say.
        if not self._started and (chunk.id or events):
            self._started = True
            events.insert(0, Started(chunk.id or "", chunk.model or ""))
        if failed:
            self._done = True
            events.append(failed)
        return events

    def _reason(self, told: str) -> FinishReason:
        return shapes.finish_of(told, refused=self._refused, calls=bool(self._calls))

    def _read_delta(self, choice: int, delta: shapes.Message, events: list[Event]) -> None:
        self._read_reasoning(delta, events)
        for part in (*shapes.read_content(delta.content, set()), *shapes.read_content(delta.images, set())):
            if isinstance(part, Text):
                events.append(TextDelta(self._place("text"), part.text))
            elif isinstance(part, Image):  # streams have no event for one
                events.append(TextDelta(self._place("text"), shapes.image_text(part)))
            elif isinstance(part, Thinking):
                events.append(ThinkingDelta(self._place("thinking", None), part.text))
            elif isinstance(part, Refusal):
                self._refuse(part.text, events)
        if delta.refusal:
            self._refuse(delta.refusal, events)
        for call in delta.tool_calls or ():
            self._read_call(choice, call, events)
        if delta.function_call is not None:
            self._read_call(choice, shapes.Call(index=-1, function=delta.function_call), events)

    def _read_reasoning(self, delta: shapes.Message, events: list[Event]) -> None:
        told = False
        for detail in delta.reasoning_details or ():
            text = detail.text or detail.summary or ""
            if detail.data:
                events.append(ThinkingDelta(self._place("sealed", self._part), redacted=detail.data))
            elif text or detail.signature:
                told = told or bool(text)
                place = self._place("thinking", detail.index)
                events.append(ThinkingDelta(place, text, detail.signature or ""))
        text = delta.reasoning_content or delta.reasoning or ""
        if text and not told:
            events.append(ThinkingDelta(self._place("thinking", None), text))

    def _refuse(self, text: str, events: list[Event]) -> None:
        self._refused = True
        events.append(RefusalDelta(self._place("refusal"), text))

    def _read_call(self, choice: int, call: shapes.Call, events: list[Event]) -> None:
        function = call.function or shapes.Function()
        index = call.index
        if index is None:  # a new call if it has a name, else more of the last one
            index = len(self._calls) if function.name else len(self._calls) - 1
        known = self._calls.get((choice, index))
        if known is None or (function.name and call.id and call.id != known[0]):
            place = self._place("call", self._part)
            call_id = call.id or f"call_{place}"
            self._calls[choice, index] = (call_id, place)
            signature = shapes.signature_of(call.extra_content)
            events.append(ToolCallDelta(place, function.text, call_id, function.name or "", signature))
        elif function.text:
            events.append(ToolCallDelta(known[1], function.text))

    def _place(self, *what: object) -> int:
        """The number of the part that holds this; a new one when it is not what the last one held."""
        if what != self._open:
            self._part += 1
            self._open = what
        return self._part


# --- writing


class Writer:
    """Events as chunks to a caller: the role first, then deltas, the finish, usage if asked for, [DONE]."""

    def __init__(self, *, now: int, asks_usage: bool) -> None:
        self._now = now
        self._asks_usage = asks_usage
        self._usage: Usage | None = None
        self._refused = False
        self._calls: dict[int, int] = {}
        self._without_arguments: set[int] = set()
        self._reasoning: dict[int, int] = {}
        self._start("", "")

    def write(self, event: Event) -> bytes:
        """The chunk of this event; usage waits for the end."""
        if isinstance(event, Metered):
            self._usage = event.usage
            return b""
        if isinstance(event, Failed):
            return write_failed(event.message, event.kind)
        if isinstance(event, Finished):
            # Arguments must be JSON in the end, and a tool without parameters may have had none.
            missing = [{"index": index, "function": {"arguments": "{}"}} for index in sorted(self._without_arguments)]
            completed = self._delta({"tool_calls": missing}) if missing else b""
            return completed + self._delta({}, shapes.finish_word(event.reason, refused=self._refused))
        return self._delta(self._content(event))

    def end(self) -> bytes:
        """The usage in a chunk without choices, if asked for and known, and the end mark."""
        told = b""
        if self._asks_usage and self._usage is not None:
            usage = msgspec.json.encode(shapes.write_usage(self._usage))
            told = frame(b'%b"choices":[],"usage":%b}' % (self._head, usage))
        return told + frame(DONE)

    def _start(self, answer_id: str, model: str) -> None:
        head = {"id": answer_id, "object": "chat.completion.chunk", "created": self._now, "model": model}
        self._head = msgspec.json.encode(head)[:-1] + b","
        # OpenAI sends "usage": null in every other chunk to those who ask for usage.
        self._tail = b'}],"usage":null}' if self._asks_usage else b"}]}"

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        body = msgspec.json.encode(delta)
        reason = b"null" if finish is None else b'"%b"' % finish.encode()
        choice = b'"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b' % (body, reason)
        return frame(self._head + choice + self._tail)

    def _content(self, event: Started | TextDelta | ThinkingDelta | RefusalDelta | ToolCallDelta) -> dict[str, Any]:
        match event:
            case TextDelta():
                return {"content": event.text}
            case ThinkingDelta():
                return self._thinking(event)
            case ToolCallDelta():
                return {"tool_calls": [self._call(event)]}
            case RefusalDelta():
                self._refused = True
                return {"refusal": event.text}
            case Started():
                self._start(event.id, event.model)
                return {"role": "assistant", "content": ""}

    def _thinking(self, event: ThinkingDelta) -> dict[str, Any]:
        """`reasoning_content` for those who show it, `reasoning_details` for those who send it back."""
        index = self._reasoning.setdefault(event.part, len(self._reasoning))
        if event.redacted:
            return {"reasoning_details": [{"type": "reasoning.encrypted", "index": index, "data": event.redacted}]}
        detail: dict[str, Any] = {"type": "reasoning.text", "index": index}
        if event.signature:
            detail["signature"] = event.signature
        if not event.text:
            return {"reasoning_details": [detail]}
        return {"reasoning_content": event.text, "reasoning_details": [{**detail, "text": event.text}]}

    def _call(self, event: ToolCallDelta) -> dict[str, Any]:
        known = event.part in self._calls
        index = self._calls.setdefault(event.part, len(self._calls))
        if event.arguments:
            self._without_arguments.discard(index)
        elif not known:
            self._without_arguments.add(index)
        if known:
            return {"index": index, "function": {"arguments": event.arguments}}
        function = {"name": event.name, "arguments": event.arguments}
        extra = shapes.extra_content(event.signature)
        return {"index": index, "id": event.id, "type": "function", "function": function, **extra}


def write_failed(message: str, kind: str) -> bytes:
    """A provider's error inside a stream."""
    error = {"message": message or "The provider failed.", "type": "server_error", "param": None, "code": kind or None}
    return frame(msgspec.json.encode({"error": error}))
