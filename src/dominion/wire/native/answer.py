"""Whole answers of this gateway's own API, in both roles. Never holds money: that is in headers.

{"id", "model", "content", "finish_reason", "usage"?, "stop_sequence"?, "refusal"?, "tool_calls"?, "reasoning"?,
"images"?}; `usage` is absent when the provider reported none.
"""

from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import Answer, FinishReason, Image, Part, Refusal, Text, Thinking, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.fields import decode_answer
from dominion.wire.native.request import ReasoningPiece
from dominion.wire.openai_chat import shapes


class NativeUsage(msgspec.Struct, frozen=True, rename="camel"):
    """Tokens: cached and cache-write ones are parts of the prompt, reasoning is a part of the completion."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    long_cache_write_tokens: int = 0


class _Answer(msgspec.Struct, omit_defaults=True):
    id: str
    model: str
    content: str
    finish_reason: FinishReason
    usage: NativeUsage | None = None
    stop_sequence: str = ""
    refusal: str = ""
    tool_calls: list[dict[str, Any]] = []
    reasoning: list[ReasoningPiece] = []
    images: list[dict[str, Any]] = []


class _Told(msgspec.Struct):
    model: str = ""
    finish_reason: str = ""
    usage: NativeUsage | None = None


_AS_IN_CHAT = ("images", "refusal", "tool_calls")
_ANSWER = msgspec.json.Decoder(_Answer)
_TOLD = msgspec.json.Decoder(_Told)


def read_answer(body: bytes) -> Answer:
    """A gateway's whole answer. Raises UnexpectedResponse."""
    told = decode_answer(_ANSWER, body)
    parts: list[Part] = [Thinking(piece.text, piece.signature, piece.redacted) for piece in told.reasoning]
    parts += [Text(told.content)] if told.content else []
    try:
        turn = msgspec.convert({name: getattr(told, name) for name in _AS_IN_CHAT}, shapes.Message)
    except msgspec.ValidationError as error:
        raise UnexpectedResponse(f"The gateway's answer is not what its API promises: {error}.") from error
    parts += shapes.read_parts(turn, set())
    return Answer(told.id, told.model, tuple(parts), told.finish_reason, read_usage(told.usage), told.stop_sequence)


def write_answer(answer: Answer) -> bytes:
    """An answer for a caller."""
    written = _Answer(
        id=answer.id,
        model=answer.model,
        content="".join(part.text for part in answer.parts if isinstance(part, Text)),
        finish_reason=answer.finish,
        usage=write_usage(answer.usage),
        stop_sequence=answer.stop_sequence,
    )
    for part in answer.parts:
        match part:
            case Refusal(text):
                written.refusal += text
            case Thinking(text, signature, redacted):
                written.reasoning.append(ReasoningPiece(text, signature, redacted))
            case ToolCall():
                written.tool_calls.append(shapes.write_call(part))
            case Image():
                written.images.append(shapes.write_image(part))
    return msgspec.json.encode(written)


def read_seen(body: bytes) -> Seen:
    """Usage, finish and model of a relayed answer. Raises UnexpectedResponse."""
    told = decode_answer(_TOLD, body)
    usage = read_usage(told.usage)
    size = len(body) if usage is None else 0
    return Seen(usage, told.finish_reason, told.model, frames=1, content_bytes=size, done=True)


def read_usage(told: NativeUsage | None) -> Usage | None:
    """The neutral counts."""
    if told is None:
        return None
    return Usage(
        input_tokens=told.prompt_tokens,
        output_tokens=told.completion_tokens,
        cache_read_tokens=told.cached_tokens,
        cache_write_tokens=told.cache_write_tokens,
        cache_write_1h_tokens=told.long_cache_write_tokens,
        reasoning_tokens=told.reasoning_tokens,
    )


def write_usage(usage: Usage | None) -> NativeUsage | None:
    """The counts as this API has them."""
    if usage is None:
        return None
    return NativeUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        cached_tokens=usage.cache_read_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        long_cache_write_tokens=usage.cache_write_1h_tokens,
    )
