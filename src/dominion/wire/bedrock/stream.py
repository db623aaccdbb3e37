"""Streams of Bedrock's Converse API: messages of an AWS event stream to events, and back. Never keeps the text.

Grammar: reference/providers.md 1.2. `messageStart`, blocks (those of text begin with their first delta), `messageStop`
with the reason, `metadata` with the usage; an exception ends the stream wherever it stands.
"""

from typing import Any

import msgspec

from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import (
    Event,
    Failed,
    Finished,
    Metered,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.anthropic.parts import NO_ARGUMENTS
from dominion.wire.bedrock.answer import FINISH, read_stop_sequence, read_usage, stop_fields, write_usage
from dominion.wire.bedrock.errors import read_failure, write_failure
from dominion.wire.bedrock.eventstream import Message, MessageReader, encode
from dominion.wire.bedrock.parts import ToolUse, write_call_id
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat.errors import mask


class _Input(msgspec.Struct):
    input: str = ""


class _Reasoning(msgspec.Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _Input | None = None
    reasoning_content: _Reasoning | None = None


class _Start(msgspec.Struct, rename="camel"):
    tool_use: ToolUse | None = None


class _Event(msgspec.Struct, rename="camel"):
    content_block_index: int = 0
    start: _Start | None = None
    delta: _Delta | None = None
    stop_reason: str | None = None
    usage: Any = None
    additional_model_response_fields: Any = None


_EVENT = msgspec.json.Decoder(_Event)


class ConverseReader:
    """A provider's stream as events."""

    def __init__(self) -> None:
        self._messages = MessageReader()
        self._parts: dict[tuple[int, str], int] = {}
        self._silent_calls: set[int] = set()
        self._ended = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises UnexpectedResponse."""
        return [event for message in self._messages.feed(chunk) for event in self._read(message)]

    def end(self) -> list[Event]:
        """Nothing is left by then. Raises UnexpectedResponse when neither a stop reason nor an exception has come."""
        self._messages.end()
        if not self._ended:
            raise UnexpectedResponse("The provider broke off its answer.")
        return []

    def _read(self, message: Message) -> list[Event]:
        if message.failure:
            self._ended = True
            return [read_failure(message)]
        told = decode_answer(_EVENT, message.payload)
        index = told.content_block_index
        events: list[Event] = []
        match message.event:
            case "messageStart":
                events = [Started("", "")]
            case "contentBlockStart" if told.start is not None and told.start.tool_use is not None:
                events = self._open_call(index, told.start.tool_use)
            case "contentBlockDelta" if told.delta is not None:
                events = self._delta(index, told.delta)
            case "contentBlockStop" if index in self._silent_calls:
                events = [ToolCallDelta(self._part(index, "call"), NO_ARGUMENTS)]
            case "messageStop":
                self._ended = True
                stop_sequence = read_stop_sequence(told.additional_model_response_fields)
                events = [Finished(FINISH.get(told.stop_reason or "", "stop"), stop_sequence)]
            case "metadata" if (usage := read_usage(told.usage)) is not None:
                events = [Metered(usage)]
        return events

    def _open_call(self, index: int, call: ToolUse) -> list[Event]:
        if call.type == "server_tool_use":  # what tools of the provider's own do has no place
            return []
        self._silent_calls.add(index)
        return [ToolCallDelta(self._part(index, "call"), "", call.tool_use_id, call.name)]

    def _delta(self, index: int, delta: _Delta) -> list[Event]:
        match delta:
            case _Delta(text=str(text)) if text:
                return [TextDelta(self._part(index, "text"), text)]
            case _Delta(tool_use=_Input(piece)) if piece and (index, "call") in self._parts:
                self._silent_calls.discard(index)
                return [ToolCallDelta(self._part(index, "call"), piece)]
            case _Delta(reasoning_content=_Reasoning(redacted_content=str(sealed))):
                return [ThinkingDelta(self._part(index, f"sealed {len(self._parts)}"), redacted=sealed)]
            case _Delta(reasoning_content=_Reasoning(text, signature)) if text or signature:
                return [ThinkingDelta(self._part(index, "thinking"), text or "", signature or "")]
        return []

    def _part(self, index: int, kind: str) -> int:
        """The number of the part; by kind too, since nothing forbids a block of two."""
        return self._parts.setdefault((index, kind), len(self._parts))


class ConverseWriter:
    """Events as the stream of a caller. Blocks stand one after the other."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}
        self._open: int | None = None
        self._started = self._failed = False
        self._finished = Finished("stop")
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        """The bytes of this event; empty for what comes at the end."""
        match event:
            case Started():
                return self._start()
            case TextDelta(part, text) | RefusalDelta(part, text):
                return self._piece(part, {"text": text})
            case ThinkingDelta():
                return self._thinking(event)
            case ToolCallDelta(part, arguments, call_id, name):
                start = {"toolUse": {"toolUseId": write_call_id(call_id), "name": name}}
                return self._piece(part, {"toolUse": {"input": arguments}} if arguments else None, start)
            case Finished():
                self._finished = event
            case Metered():
                self._usage = event.usage
            case Failed():
                self._failed = True
                return write_failure(msgspec.json.encode({"message": mask(event.message)}))
        return b""

    def end(self) -> bytes:
        """The closing messages; none after a failure, which ends a stream by itself."""
        if self._failed:
            return b""
        finished = self._finished
        return b"".join(
            (
                self._start(),
                self._close(),
                _event("messageStop", stop_fields(finished.reason, finished.stop_sequence)),
                _event("metadata", {"usage": write_usage(self._usage), "metrics": {"latencyMs": 0}}),
            )
        )

    def _start(self) -> bytes:
        started, self._started = self._started, True
        return b"" if started else _event("messageStart", {"role": "assistant"})

    def _thinking(self, event: ThinkingDelta) -> bytes:
        fields = {"redactedContent": event.redacted, "text": event.text, "signature": event.signature}
        pieces = ({"reasoningContent": {name: value}} for name, value in fields.items() if value)
        return b"".join(self._piece(event.part, piece) for piece in pieces)

    def _piece(self, part: int, delta: dict[str, Any] | None, start: dict[str, Any] | None = None) -> bytes:
        """A piece of a part, after the end of the block before it and the `start` of its own, if it has one."""
        out = self._start()
        if part not in self._blocks:
            index = len(self._blocks)
            out += self._close()
            if start is not None:
                out += _event("contentBlockStart", {"contentBlockIndex": index, "start": start})
            self._blocks[part] = self._open = index
        if delta is not None:
            out += _event("contentBlockDelta", {"contentBlockIndex": self._blocks[part], "delta": delta})
        return out

    def _close(self) -> bytes:
        index, self._open = self._open, None
        return b"" if index is None else _event("contentBlockStop", {"contentBlockIndex": index})


def _event(name: str, fields: dict[str, Any]) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, msgspec.json.encode(fields))
