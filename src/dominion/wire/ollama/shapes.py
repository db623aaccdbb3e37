"""The shapes that requests, answers and streams of Ollama's chat API share. Reads what is there, never insists.

Sources: Ollama's docs/api.md and api/types.go, reference/providers.md 1.9.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from dominion.domain.messages import FinishReason, Image, Part, Refusal, Text, Thinking, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.anthropic.parts import write_arguments

Lost = set[str]

FINISH: dict[str, FinishReason] = {"length": "length"}
"""Other reasons ("stop", "load", "unload", and none at old servers) say that the model stopped by itself."""

_NO_COUNT = 2**53
_SIGNATURES = (("/9j/", "image/jpeg"), ("R0lG", "image/gif"), ("UklG", "image/webp"))


class Function(msgspec.Struct):
    """A call's name and arguments, which are an object here."""

    name: str = ""
    arguments: Any = None


class Call(msgspec.Struct):
    """An element of `tool_calls`; old servers send no id."""

    function: Function
    id: str | None = None


class Message(msgspec.Struct):
    """A message of an answer, a piece of a stream, or a turn of the history."""

    role: str = "assistant"
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Chat(msgspec.Struct):
    """A whole answer or a line of a stream."""

    message: Message | None = None
    model: str | None = None
    created_at: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: Any = None

    @property
    def usage(self) -> Usage | None:
        """None when neither count is told; one that is not told is 0 (the server leaves zeros out)."""
        counts = [
            count if type(count) is int and 0 <= count < _NO_COUNT else None
            for count in (self.prompt_eval_count, self.eval_count)
        ]
        return None if counts == [None, None] else Usage(input_tokens=counts[0] or 0, output_tokens=counts[1] or 0)


CHAT = msgspec.json.Decoder(Chat)


def finish_of(told: str | None, *, calls: bool) -> FinishReason:
    """The finish reason; the server says "stop" after tool calls."""
    return FINISH.get(told or "", "tool_calls" if calls else "stop")


def read_call(call: Call, created_at: str, place: int) -> ToolCall:
    """A tool call. Where the server gave it no id, it gets one that no other answer has."""
    arguments = msgspec.json.encode({} if call.function.arguments is None else call.function.arguments).decode()
    made = hashlib.blake2b(f"{created_at} {place} {call.function.name} {arguments}".encode(), digest_size=8).hexdigest()
    return ToolCall(call.id or f"call_{made}", call.function.name, arguments)


def read_image(data: str) -> Image:
    """An image, whose type nothing tells but its first bytes."""
    found = (kind for start, kind in _SIGNATURES if data.startswith(start))
    return Image(media_type=next(found, "image/png"), data=data)


def write_message(role: str, parts: Sequence[Part], lost: Lost) -> dict[str, Any]:
    """A message of a request or an answer. Only texts, images, reasoning and calls have a place in one."""
    written: dict[str, Any] = {"role": role}
    # The pieces of an answer belong together; those of other turns were apart.
    joint = "" if role == "assistant" else "\n"
    written["content"] = joint.join(part.text for part in parts if isinstance(part, Text | Refusal))
    thinking = [part for part in parts if isinstance(part, Thinking)]
    if any(part.text for part in thinking):
        written["thinking"] = "".join(part.text for part in thinking)
    if any(part.signature or part.redacted for part in thinking):
        lost.add("messages.thinking.signature")
    images = [part for part in parts if isinstance(part, Image)]
    if any(image.data for image in images):
        written["images"] = [image.data for image in images if image.data]
    lost.update("messages.image.url" for image in images if not image.data)
    lost.update("messages.image.detail" for image in images if image.detail not in ("", "auto"))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if calls:
        written["tool_calls"] = [write_call(call, lost) for call in calls]
    if any(getattr(part, "cache", None) for part in parts):
        lost.add("cache_control")
    return written


def write_call(call: ToolCall, lost: Lost) -> dict[str, Any]:
    """An element of `tool_calls`."""
    arguments = write_arguments(call.arguments)
    if isinstance(arguments, dict):
        lost.add("messages.tool_calls.arguments")
    if call.signature:
        lost.add("messages.tool_calls.signature")
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def write_usage(usage: Usage | None) -> dict[str, int]:
    """The counts of a last line; none that are not known."""
    return {} if usage is None else {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
