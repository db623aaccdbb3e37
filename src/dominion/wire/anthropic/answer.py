"""Whole answers of the Anthropic Messages API: content, stop reasons and token counts. Never reads a stream.

Token counts: `input_tokens` leaves out what was read from and written to the cache, and the top level leaves out what
compactions and advisors used, though both are billed (reference/providers.md 1.1; SDK, `BetaUsage.iterations`).
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import Answer, FinishReason, Image, Part, Refusal, Text, Thinking, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.anthropic.parts import Block, read_answer_block, seal_of_call, write_arguments
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat.shapes import image_text

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "compaction": "pause",
    "refusal": "refusal",
}
STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "pause": "pause_turn",
    "refusal": "refusal",
    "content_filter": "refusal",
    "error": "max_tokens",  # the answer is not whole, and this is the one reason that says so
}
_NO_COUNT = 2**53
_BILLED_APART = ("compaction", "advisor_message")


class StopDetails(msgspec.Struct):
    """Why the model declined."""

    explanation: str | None = None


class Message(msgspec.Struct):
    """A whole answer, or the beginning of a streamed one."""

    content: list[Block]
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: Any = None


class _Peeked(msgspec.Struct):
    type: Any = None
    model: Any = None
    stop_reason: Any = None
    usage: Any = None


_MESSAGE = msgspec.json.Decoder(Message)
_PEEKED = msgspec.json.Decoder(_Peeked)


class Counts:
    """Token counts as they come in, each the latest that was told; what is no count is as if it were not there."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._apart: list[Usage] = []

    def add(self, told: Any) -> Usage | None:
        """Take in a `usage` object; the usage so far, or None while input or output are unknown."""
        if isinstance(told, dict):
            creation, details = told.get("cache_creation"), told.get("output_tokens_details")
            if isinstance(creation, dict):
                told = told | {"1h": creation.get("ephemeral_1h_input_tokens")}
            if isinstance(details, dict):
                told = told | {"thinking": details.get("thinking_tokens")}
            self._told |= {name: count for name, count in told.items() if type(count) is int and 0 <= count < _NO_COUNT}
            iterations = told.get("iterations")
            if isinstance(iterations, list):
                self._apart = [used for entry in iterations if (used := _billed_apart(entry)) is not None]
        return self._usage()

    def _usage(self) -> Usage | None:
        told, apart = self._told, self._apart
        if "input_tokens" not in told or "output_tokens" not in told:
            return None
        read, written = told.get("cache_read_input_tokens", 0), told.get("cache_creation_input_tokens", 0)
        used = Usage(
            input_tokens=told["input_tokens"] + read + written,
            output_tokens=told["output_tokens"],
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=min(told.get("1h", 0), written),
            reasoning_tokens=min(told.get("thinking", 0), told["output_tokens"]),
        )
        for more in apart:
            used = Usage(*(ours + theirs for ours, theirs in zip(_numbers(used), _numbers(more), strict=True)))
        return used


def read_answer(body: bytes) -> Answer:
    """A provider's whole answer. Raises UnexpectedResponse."""
    message = decode_answer(_MESSAGE, body)
    parts: list[Part] = [part for block in message.content if (part := read_answer_block(block)) is not None]
    if message.stop_details is not None and message.stop_details.explanation:
        parts.append(Refusal(message.stop_details.explanation))
    calls = any(isinstance(part, ToolCall) for part in parts)
    return Answer(
        id=message.id or "",
        model=message.model or "",
        parts=tuple(parts),
        finish=FINISH.get(message.stop_reason or "", "tool_calls" if calls else "stop"),
        usage=Counts().add(message.usage),
        stop_sequence=message.stop_sequence or "",
    )


def write_answer(answer: Answer) -> bytes:
    """An answer for a caller."""
    return msgspec.json.encode(
        {
            "id": answer.id,
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": [block for part in answer.parts for block in _write_answer_part(part)],
            **stop_fields(answer.finish, answer.stop_sequence, _refusal(answer)),
            "usage": write_usage(answer.usage),
        }
    )


def read_seen(body: bytes) -> Seen:
    """What the gateway needs of an answer that it relays. Raises UnexpectedResponse when it is no JSON object."""
    peeked = decode_answer(_PEEKED, body)
    if peeked.type == "error":
        raise UnexpectedResponse("The provider sent an error as if it were an answer.")
    usage = Counts().add(peeked.usage)
    return Seen(
        usage=usage,
        finish=FINISH.get(peeked.stop_reason, "stop") if isinstance(peeked.stop_reason, str) else "",
        model=peeked.model if isinstance(peeked.model, str) else "",
        frames=1,
        content_bytes=len(body) if usage is None else 0,
        done=True,
    )


def stop_fields(finish: FinishReason, stop_sequence: str, refusal: str) -> dict[str, Any]:
    """`stop_reason` and its companions."""
    reason = "stop_sequence" if stop_sequence else STOP[finish]
    details = {"type": "refusal", "category": None, "explanation": refusal} if refusal else None
    return {
        "stop_reason": "refusal" if refusal else reason,
        "stop_sequence": stop_sequence or None,
        "stop_details": details,
    }


def write_usage(usage: Usage | None) -> dict[str, Any]:
    """`usage` as the API has it. Unknown counts are 0: the vendor's SDKs require the numbers."""
    used = usage or Usage()
    read, written, hour = used.cache_read_tokens, used.cache_write_tokens, used.cache_write_1h_tokens
    fields: dict[str, Any] = {
        "input_tokens": max(0, used.input_tokens - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": used.output_tokens,
    }
    if written:
        fields["cache_creation"] = {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour}
    if used.reasoning_tokens:
        fields["output_tokens_details"] = {"thinking_tokens": used.reasoning_tokens}
    return fields


def _write_answer_part(part: Part) -> Iterator[dict[str, Any]]:
    """The blocks of a part; a refusal has none, it stands in stop_details."""
    match part:
        case Text(text):
            yield {"type": "text", "text": text}
        case Image():
            yield {"type": "text", "text": image_text(part)}
        case ToolCall(call_id, name, arguments):
            if part.signature:
                yield seal_of_call(part.signature)
            yield {"type": "tool_use", "id": call_id, "name": name, "input": write_arguments(arguments)}
        case Thinking(redacted=sealed) if sealed:
            yield {"type": "redacted_thinking", "data": sealed}
        case Thinking(text, signature):
            yield {"type": "thinking", "thinking": text, "signature": signature}


def _refusal(answer: Answer) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, Refusal))


def _billed_apart(entry: Any) -> Usage | None:
    return Counts().add(entry) if isinstance(entry, dict) and entry.get("type") in _BILLED_APART else None


def _numbers(usage: Usage) -> tuple[int, ...]:
    numbers: tuple[int, ...] = msgspec.structs.astuple(usage)
    return numbers
