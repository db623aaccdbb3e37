"""Answers of Ollama's chat API, whole and as streams of JSON lines, read and written. Never keeps the text of a stream.

A stream is a line per piece; the last one has `done`, its reason and the counts. Tool calls come whole. An error is a
line of its own, with the status of the stream (reference/providers.md 1.2).
"""

import datetime as dt
from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import (
    Answer,
    Event,
    Failed,
    Finished,
    FinishReason,
    Metered,
    Part,
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
from dominion.wire.ollama import shapes
from dominion.wire.openai_chat.errors import mask, tell
from dominion.wire.sse import FRAME_LIMIT

_LONGEST_MESSAGE = 2000


def read_answer(body: bytes) -> Answer:
    """A provider's whole answer, which has no id. Raises UnexpectedResponse."""
    told = decode_answer(shapes.CHAT, body)
    message = told.message
    if message is None:
        said = mask(tell({"error": told.error}).message)
        raise UnexpectedResponse(f"The provider's answer holds no message. It says: {said or 'nothing'}")
    parts: list[Part] = [Thinking(message.thinking)] if message.thinking else []
    parts += [Text(message.content)] if message.content else []
    calls = enumerate(message.tool_calls or ())
    parts += [shapes.read_call(call, told.created_at or "", place) for place, call in calls]
    return Answer(
        id="",
        model=told.model or "",
        parts=tuple(parts),
        finish=shapes.finish_of(told.done_reason, calls=bool(message.tool_calls)),
        usage=told.usage,
    )


def write_answer(answer: Answer, *, now: int) -> bytes:
    """An answer for a caller."""
    head = {"model": answer.model, "created_at": _time(now)}
    message = shapes.write_message("assistant", answer.parts, set())
    return msgspec.json.encode(head | {"message": message} | _last(answer.finish, answer.usage))


def read_seen(body: bytes) -> Seen:
    """What the gateway needs of an answer that it relays. Raises UnexpectedResponse when it is no JSON object."""
    told = decode_answer(shapes.CHAT, body)
    usage = told.usage
    calls = told.message is not None and bool(told.message.tool_calls)
    return Seen(
        usage=usage,
        finish=shapes.finish_of(told.done_reason, calls=calls),
        model=told.model or "",
        frames=1,
        content_bytes=len(body) if usage is None else 0,
        done=True,
        failed=_failed(told.error).message if told.error else "",
    )


class ChatReader:
    """A provider's stream as events."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._part = -1
        self._kind = ""
        self._calls = 0
        self._started = self._ended = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises UnexpectedResponse for what is not the dialect."""
        held = self._held
        searched = len(held)
        held += chunk
        cut = held.rfind(b"\n", searched) + 1
        lines = bytes(held[:cut])
        del held[:cut]
        if len(held) > FRAME_LIMIT:
            raise UnexpectedResponse(f"The provider sent a line of more than {FRAME_LIMIT} bytes.")
        return [event for line in lines.splitlines() for event in self._read(line)]

    def end(self) -> list[Event]:
        """Events of a last line without its end. Raises UnexpectedResponse when the last line never came."""
        events = self._read(bytes(self._held))
        if not self._ended:
            raise UnexpectedResponse("The provider broke off its answer.")
        return events

    def _read(self, line: bytes) -> list[Event]:
        if not line.strip() or self._ended:
            return []
        told = decode_answer(shapes.CHAT, line)
        events: list[Event] = []
        if not self._started and not told.error:
            self._started = True
            events.append(Started("", told.model or ""))
        if told.message is not None:
            self._read_message(told.message, told.created_at or "", events)
        if told.error:
            self._ended = True
            events.append(_failed(told.error))
        elif told.done:
            self._ended = True
            events.append(Finished(shapes.finish_of(told.done_reason, calls=bool(self._calls))))
            events += [] if told.usage is None else [Metered(told.usage)]
        return events

    def _read_message(self, message: shapes.Message, created_at: str, events: list[Event]) -> None:
        if message.thinking:
            events.append(ThinkingDelta(self._place("thinking"), message.thinking))
        if message.content:
            events.append(TextDelta(self._place("text"), message.content))
        for told in message.tool_calls or ():
            call = shapes.read_call(told, created_at, self._calls)
            self._calls += 1
            events.append(ToolCallDelta(self._place(call.id), call.arguments, call.id, call.name))

    def _place(self, kind: str) -> int:
        """The number of the part that holds this; a new one when it is not what the last one held."""
        if kind != self._kind:
            self._part += 1
            self._kind = kind
        return self._part


class ChatWriter:
    """Events as lines to a caller. The pieces of a tool call wait for its end: the API has whole ones only."""

    def __init__(self, *, now: int) -> None:
        self._head: dict[str, Any] = {"model": "", "created_at": _time(now)}
        self._calls: dict[int, ToolCall] = {}
        self._finished: FinishReason = "stop"
        self._usage: Usage | None = None
        self._failed = False

    def write(self, event: Event) -> bytes:
        """The line of this event; empty for what comes at the end, and for signatures, which have no place."""
        match event:
            case Started():
                self._head["model"] = event.model
            case TextDelta(text=content) | RefusalDelta(text=content) if content:
                return self._line(content=content)
            case ThinkingDelta(text=thought) if thought:
                return self._line(content="", thinking=thought)
            case ToolCallDelta(part, arguments, call_id, name):
                call = self._calls.setdefault(part, ToolCall(call_id, name, ""))
                self._calls[part] = msgspec.structs.replace(call, arguments=call.arguments + arguments)
            case Finished():
                self._finished = event.reason
            case Metered():
                self._usage = event.usage
            case Failed():
                self._failed = True
                return _line({"error": mask(event.message) or "The provider failed."})
        return b""

    def end(self) -> bytes:
        """The tool calls and the last line; nothing after a failure, which ends a stream by itself."""
        if self._failed:
            return b""
        calls = [shapes.write_call(call, set()) for call in self._calls.values()]
        told = self._line(content="", tool_calls=calls) if calls else b""
        message = {"message": {"role": "assistant", "content": ""}}
        return told + _line(self._head | message | _last(self._finished, self._usage))

    def _line(self, **message: Any) -> bytes:
        return _line(self._head | {"message": {"role": "assistant", **message}, "done": False})


def _failed(error: Any) -> Failed:
    said = tell({"error": error})
    return Failed(mask(said.message[:_LONGEST_MESSAGE]) or "error", said.code or said.kind)


def _last(finish: FinishReason, usage: Usage | None) -> dict[str, Any]:
    return {"done": True, "done_reason": "length" if finish == "length" else "stop", **shapes.write_usage(usage)}


def _line(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields) + b"\n"


def _time(now: int) -> str:
    return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
