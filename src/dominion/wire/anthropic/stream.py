"""Streams of the Anthropic Messages API: bytes to events, events to bytes, and the tap. Never keeps the text.

Grammar: reference/providers.md 1.2. `message_start` opens with the input counts, `message_delta` closes with all counts
(cumulative), `message_stop` ends; pings and unknown event types may stand anywhere.
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
from dominion.domain.usage import Usage
from dominion.wire.anthropic.answer import FINISH, Counts, StopDetails, stop_fields, write_usage
from dominion.wire.anthropic.errors import read_failure
from dominion.wire.anthropic.parts import NO_ARGUMENTS, Block, seal_of_call
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat.errors import mask
from dominion.wire.sse import Frame, FrameReader, FrameTap, frame

_OURS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
CONTENT_MARK = b'"content_block_delta"'


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class _Opening(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    usage: Any = None


class _Event(msgspec.Struct):
    type: str
    message: _Opening | None = None
    index: int = 0
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: Any = None


class _Glance(msgspec.Struct):
    """What the tap needs of a frame, whatever else the provider may have put there."""

    type: Any = None
    message: Any = None
    delta: Any = None
    usage: Any = None


_EVENT = msgspec.json.Decoder(_Event)
_GLANCE = msgspec.json.Decoder(_Glance)


class MessagesReader:
    """A provider's stream as events."""

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._counts = Counts()
        self._parts: dict[int, int | None] = {}
        self._next = 0
        self._silent_calls: set[int] = set()
        self._ended = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises UnexpectedResponse."""
        return [event for found in self._frames.feed(chunk) for event in self._read(found)]

    def end(self) -> list[Event]:
        """Events completed by the end. Raises UnexpectedResponse when neither a stop reason nor an error has come."""
        events = [event for found in self._frames.end() for event in self._read(found)]
        if not self._ended:
            raise UnexpectedResponse("The provider broke off its answer.")
        return events

    def _read(self, found: Frame) -> list[Event]:
        if found.event == "ping" or found.data == b"[DONE]":  # the second is not the API's, but harmless
            return []
        if found.event == "error":
            return self._failed(found)
        events: list[Event] = []
        event = decode_answer(_EVENT, found.data)
        match event.type:
            case "message_start" if event.message is not None:
                started = Started(event.message.id or "", event.message.model or "")
                events = [started, *self._metered(event.message.usage)]
            case "content_block_start" if event.content_block is not None:
                events = self._open(event.index, event.content_block)
            case "content_block_delta" if event.delta is not None:
                events = self._delta(event.index, event.delta)
            case "content_block_stop" if event.index in self._silent_calls:
                events = [ToolCallDelta(self._parts[event.index] or 0, NO_ARGUMENTS)]
            case "message_delta" if event.delta is not None:
                events = [*self._finished(event.delta), *self._metered(event.usage)]
            case "message_stop":
                self._ended = True
            case "error":
                events = self._failed(found)
        return events

    def _failed(self, found: Frame) -> list[Event]:
        self._ended = True
        return [read_failure(found.data)]

    def _open(self, index: int, block: Block) -> list[Event]:
        if block.type not in _OURS:  # of a tool that the provider runs itself
            self._parts[index] = None
            return []
        part = self._parts[index] = self._next
        self._next += 1
        match block.type:
            case "text":
                return [TextDelta(part, block.text)] if block.text else []
            case "thinking":
                told = ThinkingDelta(part, block.thinking or "", block.signature or "")
                return [told] if told.text or told.signature else []
            case "redacted_thinking":
                return [ThinkingDelta(part, redacted=block.data or "")]
            case "tool_use":
                whole = bytes(block.input).decode()
                whole = "" if whole == "null" or not whole.strip("{} \n\r\t") else whole
                if not whole:
                    self._silent_calls.add(index)
                return [ToolCallDelta(part, whole, block.id or "", block.name or "")]
        return []

    def _delta(self, index: int, delta: _Delta) -> list[Event]:
        if index not in self._parts:
            raise UnexpectedResponse("The provider sent a piece of a content block that it has not begun.")
        part = self._parts[index]
        if part is None:
            return []
        match delta.type:
            case "text_delta" if delta.text:
                return [TextDelta(part, delta.text)]
            case "input_json_delta" if delta.partial_json:
                self._silent_calls.discard(index)
                return [ToolCallDelta(part, delta.partial_json)]
            case "thinking_delta" if delta.thinking:
                return [ThinkingDelta(part, delta.thinking)]
            case "signature_delta" if delta.signature:
                return [ThinkingDelta(part, signature=delta.signature)]
        return []

    def _finished(self, delta: _Delta) -> list[Event]:
        if delta.stop_reason is None:
            return []
        self._ended = True
        events: list[Event] = []
        if delta.stop_details is not None and delta.stop_details.explanation:
            events.append(RefusalDelta(self._next, delta.stop_details.explanation))
        finish: FinishReason = FINISH.get(delta.stop_reason, "stop")
        return [*events, Finished(finish, delta.stop_sequence or "")]

    def _metered(self, told: Any) -> list[Event]:
        usage = self._counts.add(told)
        return [] if usage is None else [Metered(usage)]


class MessagesWriter:
    """Events as the stream of a caller. Blocks stand one after the other; a refusal goes into `stop_details`."""

    def __init__(self) -> None:
        self._started = False
        self._blocks: dict[int, int] = {}
        self._open: int | None = None
        self._finished = Finished("stop")
        self._usage: Usage | None = None
        self._refusal = ""
        self._failed = False

    def write(self, event: Event) -> bytes:
        """The bytes of this event; empty for what comes at the end."""
        match event:
            case Started(answer_id, model):
                return b"" if self._started else self._start(answer_id, model)
            case TextDelta(part, text):
                return self._piece(part, {"type": "text", "text": ""}, {"type": "text_delta", "text": text})
            case ThinkingDelta():
                return self._thinking(event)
            case ToolCallDelta(part, arguments, call_id, name, signature):
                seal = self._piece(~part, seal_of_call(signature), None) if signature else b""
                block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
                delta = {"type": "input_json_delta", "partial_json": arguments}
                return seal + self._piece(part, block, delta if arguments else None)
            case RefusalDelta():
                self._refusal += event.text
            case Finished():
                self._finished = event
            case Metered():
                self._usage = event.usage
            case Failed():
                self._failed = True
                return write_failure({"type": event.kind or "api_error", "message": mask(event.message)})
        return b""

    def end(self) -> bytes:
        """The closing bytes; none after a failure, which ends a stream by itself."""
        if self._failed:
            return b""
        finished = self._finished
        return b"".join(
            (
                b"" if self._started else self._start("", ""),
                self._close(),
                _frame(
                    "message_delta",
                    delta=stop_fields(finished.reason, finished.stop_sequence, self._refusal),
                    usage=write_usage(self._usage),
                ),
                _frame("message_stop"),
            )
        )

    def _start(self, answer_id: str, model: str) -> bytes:
        """Input counts are 0 where the provider tells them last; the closing `message_delta` has them all."""
        self._started = True
        message: dict[str, Any] = {
            "id": answer_id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage),
        }
        return _frame("message_start", message=message)

    def _thinking(self, event: ThinkingDelta) -> bytes:
        if event.redacted:
            return self._piece(event.part, {"type": "redacted_thinking", "data": event.redacted}, None)
        block = {"type": "thinking", "thinking": "", "signature": ""}
        pieces = [{"type": "thinking_delta", "thinking": event.text}] if event.text else []
        pieces += [{"type": "signature_delta", "signature": event.signature}] if event.signature else []
        return b"".join(self._piece(event.part, block, piece) for piece in pieces)

    def _piece(self, part: int, block: dict[str, Any], delta: dict[str, Any] | None) -> bytes:
        """A piece of a part, after the start of its block when it is the first one.

        A piece for a block that is closed (some providers write two tool calls at once) still goes out: the vendor's
        SDKs add it to the block with its index.
        """
        out = b"" if self._started else self._start("", "")
        if part not in self._blocks:
            index = len(self._blocks)
            out += self._close() + _frame("content_block_start", index=index, content_block=block)
            self._blocks[part] = self._open = index
        if delta is not None:
            out += _frame("content_block_delta", index=self._blocks[part], delta=delta)
        return out

    def _close(self) -> bytes:
        index, self._open = self._open, None
        return b"" if index is None else _frame("content_block_stop", index=index)


class _Watch:
    """Reads the frames that the tap finds."""

    def __init__(self) -> None:
        self._counts = Counts()

    def look(self, seen: Seen, found: Frame) -> bool:
        """Take usage, finish, model, end or failure out of a frame; the frame itself goes on, even one that is odd."""
        try:
            told = decode_answer(_GLANCE, found.data)
        except UnexpectedResponse:
            told = _Glance()
        if found.event == "error" or told.type == "error":
            failure = read_failure(found.data)
            seen.failed = failure.message or failure.kind or "error"
        elif told.type == "message_start" and isinstance(told.message, dict):
            model = told.message.get("model")
            seen.model = model if isinstance(model, str) else ""
            seen.usage = self._counts.add(told.message.get("usage"))
        elif told.type == "message_delta":
            seen.usage = self._counts.add(told.usage)
            reason = told.delta.get("stop_reason") if isinstance(told.delta, dict) else None
            if isinstance(reason, str):
                seen.finish = FINISH.get(reason, "stop")
        elif told.type == "message_stop":
            seen.done = True
        return False


def messages_tap() -> FrameTap:
    """The tap of a relayed stream."""
    return FrameTap(_Watch().look, marked=_marked, delta=CONTENT_MARK)


def write_failure(error: dict[str, Any], request_id: str = "") -> bytes:
    """The error event, which ends a stream."""
    return _frame("error", error=error, **({"request_id": request_id} if request_id else {}))


def _marked(piece: bytes) -> bool:
    return b'"message_' in piece or b'"error"' in piece or b"event: error" in piece


def _frame(event: str, **fields: Any) -> bytes:
    return frame(msgspec.json.encode({"type": event, **fields}), event)
