"""Streams of OpenAI Responses to callers. Keeps the text, since each item and the answer come whole at their end again.

An item is closed when the next one begins; calls are closed at the end, because some providers write several at once.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from dominion.domain.errors import DominionError
from dominion.domain.messages import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Metered,
    RefusalDelta,
    Started,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.openai_chat.errors import mask, write_error
from dominion.wire.openai_responses import items
from dominion.wire.openai_responses.answer import write_response
from dominion.wire.sse import frame


class _Item:
    """An output item under way; `place` says in each event where it belongs. Of a call, `call` is its id and name."""

    def __init__(self, kind: str, item_id: str, index: int, call: tuple[str, str]) -> None:
        self.kind = kind
        self.place: dict[str, Any] = {"item_id": item_id, "output_index": index}
        self.text = ""
        self.signature = ""
        self.call = call

    def write(self, status: str) -> dict[str, Any]:
        """The item as it is now; an unfinished message has no content yet."""
        item_id: str = self.place["item_id"]
        match self.kind:
            case "call":
                return items.call_item(item_id, *self.call, self.text, status=status)
            case "thought":
                written = items.write_reasoning(Thinking(self.text, self.signature), "")
                return written if ":" in self.signature else written | {"id": item_id}
        content = [_content(self.kind, self.text)] if status == "completed" else []
        return items.message_item(item_id, *content, status=status)


class Writer:
    """Events as the stream of a caller."""

    def __init__(self, *, now: int) -> None:
        self._now = now
        self._id = self._model = ""
        self._sequence = 0
        self._open: dict[int, _Item] = {}
        self._output: dict[int, dict[str, Any]] = {}
        self._next = 0
        self._finish: FinishReason = "stop"
        self._usage: Usage | None = None
        self._started = self._failed = False

    def write(self, event: Event) -> bytes:
        """The bytes of this event; empty for what comes at the end."""
        match event:
            case Started(answer_id, model):
                return self._start(answer_id, model)
            case TextDelta(part, text) | RefusalDelta(part, text):
                return self._said(part, "refusal" if isinstance(event, RefusalDelta) else "output_text", text)
            case ThinkingDelta():
                return self._thought(event)
            case ToolCallDelta():
                return self._called(event)
            case Finished(reason):
                self._finish = reason
            case Metered(usage):
                self._usage = usage
            case Failed():
                return self._fail(event)
        return b""

    def end(self) -> bytes:
        """The closing bytes; none after a failure, which ends a stream by itself."""
        if self._failed:
            return b""
        begun = self._start("", "")
        closed = b"".join([self._close(item) for item in self._open.values()])
        response = self._response(self._finish)
        return begun + closed + self._frame(f"response.{response['status']}", response=response)

    def _start(self, answer_id: str, model: str) -> bytes:
        if self._started:
            return b""
        self._started, self._id, self._model = True, answer_id, model
        response = self._response(None)
        kinds = ("response.created", "response.in_progress")
        return b"".join([self._frame(kind, response=response) for kind in kinds])

    def _response(self, finish: FinishReason | None) -> dict[str, Any]:
        output = [self._output[index] for index in sorted(self._output)]
        return write_response(self._id, self._model, output, finish, self._usage, self._now)

    def _fail(self, failed: Failed) -> bytes:
        """As OpenAI does it: an event of the error, then the answer that failed. Its clients read one or the other, and
        the error's fields in the event itself or in its `error`."""
        self._failed = True
        message = mask(failed.message) or "The provider failed."
        error = {"code": failed.kind or None, "message": message, "param": None}
        begun = self._start("", "")
        response = self._response("error")
        response["error"]["message"] = message
        told = self._frame("error", **error, error=error | {"type": "server_error"})
        return begun + told + self._frame("response.failed", response=response)

    # --- pieces

    def _said(self, part: int, kind: str, text: str) -> bytes:
        out = b""
        if part not in self._open:
            out, item = self._begin(part, kind, "msg")
            out += self._frame("response.content_part.added", part=_content(kind, ""), content_index=0, **item.place)
        item = self._open[part]
        item.text += text
        odds: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        return out + self._frame(f"response.{kind}.delta", delta=text, content_index=0, **item.place, **odds)

    def _thought(self, event: ThinkingDelta) -> bytes:
        if event.redacted:
            thought = Thinking(redacted=event.redacted)
            return self._whole(lambda place: items.write_reasoning(thought, place))
        out = b""
        if event.part not in self._open:
            out, _ = self._begin(event.part, "thought", f"{items.OURS}t")
        item = self._open[event.part]
        item.signature += event.signature
        if not event.text:
            return out
        place = item.place | {"summary_index": 0}
        if not item.text:
            out += self._frame("response.reasoning_summary_part.added", part=_summary(""), **place)
        item.text += event.text
        return out + self._frame("response.reasoning_summary_text.delta", delta=event.text, **place)

    def _called(self, event: ToolCallDelta) -> bytes:
        out = b""
        if event.part not in self._open:
            if event.signature:
                out = self._whole(lambda place: items.sealed_item(event.signature, place))
            begun, _ = self._begin(event.part, "call", "fc", (event.id, event.name))
            out += begun
        return out + self._argue(self._open[event.part], event.arguments)

    def _argue(self, item: _Item, arguments: str) -> bytes:
        item.text += arguments
        kind = "response.function_call_arguments.delta"
        return self._frame(kind, delta=arguments, **item.place) if arguments else b""

    # --- items

    def _begin(self, part: int, kind: str, prefix: str, call: tuple[str, str] = ("", "")) -> tuple[bytes, _Item]:
        begun = self._start("", "") + self._close_spoken()
        item = self._open[part] = _Item(kind, f"{prefix}_{self._id}_{self._next}", self._next, call)
        self._next += 1
        return begun + self._item("added", item, "in_progress"), item

    def _whole(self, make: Callable[[str], dict[str, Any]]) -> bytes:
        """An item that comes in one piece; `make` takes what makes its id unique."""
        begun = self._start("", "") + self._close_spoken()
        index, self._next = self._next, self._next + 1
        item = self._output[index] = make(f"{self._id}_{index}")
        kinds = ("response.output_item.added", "response.output_item.done")
        return begun + b"".join([self._frame(kind, item=item, output_index=index) for kind in kinds])

    def _close_spoken(self) -> bytes:
        """Close what cannot go on once the next item has begun."""
        closed = [part for part, item in self._open.items() if item.kind != "call"]
        return b"".join([self._close(self._open.pop(part)) for part in closed])

    def _close(self, item: _Item) -> bytes:
        match item.kind:
            case "call":
                out = b"" if item.text else self._argue(item, "{}")  # arguments must be JSON in the end
                done: dict[str, Any] = {"arguments": item.text, "name": item.call[1]}
                out += self._frame("response.function_call_arguments.done", **item.place, **done)
            case "thought" if item.text:
                place = item.place | {"summary_index": 0}
                out = self._frame("response.reasoning_summary_text.done", text=item.text, **place)
                out += self._frame("response.reasoning_summary_part.done", part=_summary(item.text), **place)
            case "output_text" | "refusal" as kind:
                place = item.place | {"content_index": 0}
                done = {"text": item.text, "logprobs": []} if kind == "output_text" else {"refusal": item.text}
                out = self._frame(f"response.{kind}.done", **place, **done)
                out += self._frame("response.content_part.done", part=_content(kind, item.text), **place)
            case _:
                out = b""
        return out + self._item("done", item, "completed")

    def _item(self, what: str, item: _Item, status: str) -> bytes:
        written = item.write(status)
        if status == "completed":
            self._output[item.place["output_index"]] = written
        return self._frame(f"response.output_item.{what}", item=written, output_index=item.place["output_index"])

    def _frame(self, kind: str, **fields: Any) -> bytes:
        number, self._sequence = self._sequence, self._sequence + 1
        return _frame(kind, number, **fields)


def write_stream_error(error: DominionError, request_id: str) -> bytes:
    """An error inside a running stream of any provider, and the end of the stream. How many events went before is not
    known here, so the count begins again.
    """
    fields = msgspec.json.decode(write_error(error, request_id))["error"]
    response = write_response("", "", [], "error", None, 0)
    response["error"]["message"] = error.message
    return _frame("error", 0, **fields | {"type": "error"}, error=fields) + _frame(
        "response.failed", 1, response=response
    )


def _frame(kind: str, number: int, **fields: Any) -> bytes:
    return frame(msgspec.json.encode({**fields, "type": kind, "sequence_number": number}), kind)


def _content(kind: str, text: str) -> dict[str, Any]:
    return items.output_text(text) if kind == "output_text" else {"type": "refusal", "refusal": text}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}
