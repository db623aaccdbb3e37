"""Whole answers of Bedrock's Converse API: content, stop reasons and token counts. Never reads a stream.

An answer names neither itself nor its model. `inputTokens` leaves out what was read from and written to the cache
(reference/providers.md 1.1), and reasoning is not counted apart.
"""

from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.messages import Answer, FinishReason, Image, Part, Refusal, Text, Thinking, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.bedrock.parts import Block, read_block, write_call, write_image, write_thinking
from dominion.wire.fields import decode_answer

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "pause": "end_turn",
    "refusal": "content_filtered",
    "content_filter": "content_filtered",
    "error": "malformed_model_output",
}
_NO_COUNT = 2**53


class _Message(msgspec.Struct):
    content: list[Block]


class _Output(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct, rename="camel"):
    output: _Output
    stop_reason: str = ""
    usage: Any = None
    additional_model_response_fields: Any = None


class _Told(msgspec.Struct, rename="camel"):
    stop_reason: Any = None
    usage: Any = None


_ANSWER = msgspec.json.Decoder(_Answer)
_TOLD = msgspec.json.Decoder(_Told)


def read_answer(body: bytes) -> Answer:
    """A provider's whole answer. Raises UnexpectedResponse. What tools of the provider's own did has no place."""
    told = decode_answer(_ANSWER, body)
    found = (read_block(block, set()) for block in told.output.message.content)
    return Answer(
        id="",
        model="",
        parts=tuple(part for part in found if isinstance(part, Text | Image | ToolCall | Thinking)),
        finish=FINISH.get(told.stop_reason, "stop"),
        usage=read_usage(told.usage),
        stop_sequence=read_stop_sequence(told.additional_model_response_fields),
    )


def write_answer(answer: Answer) -> bytes:
    """An answer for a caller. The API wants a latency, of which a dialect knows nothing."""
    message = {"role": "assistant", "content": [_write_part(part) for part in answer.parts]}
    body: dict[str, Any] = {
        "output": {"message": message},
        **stop_fields(answer.finish, answer.stop_sequence),
        "usage": write_usage(answer.usage),
        "metrics": {"latencyMs": 0},
    }
    return msgspec.json.encode(body)


def read_seen(body: bytes) -> Seen:
    """What the gateway needs of an answer that it relays. Raises UnexpectedResponse when it is no JSON object."""
    told = decode_answer(_TOLD, body)
    usage = read_usage(told.usage)
    return Seen(
        usage=usage,
        finish=FINISH.get(told.stop_reason, "stop") if isinstance(told.stop_reason, str) else "",
        frames=1,
        content_bytes=len(body) if usage is None else 0,
        done=True,
    )


def read_usage(told: Any) -> Usage | None:
    """The `usage` object; None when it lacks input or output. What is no sane count is as if it were not there."""
    if not isinstance(told, dict):
        return None
    fresh, output = _count(told, "inputTokens"), _count(told, "outputTokens")
    if fresh is None or output is None:
        return None
    read, written = (
        _count(told, f"{name}Tokens") or _count(told, f"{name}TokenCount") or 0
        for name in ("cacheReadInput", "cacheWriteInput")
    )
    details = told.get("cacheDetails")
    hours = [
        _count(each, "inputTokens") or 0
        for each in (details if isinstance(details, list) else ())
        if isinstance(each, dict) and each.get("ttl") == "1h"
    ]
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(sum(hours), written),
    )


def write_usage(usage: Usage | None) -> dict[str, Any]:
    """`usage` as the API has it. Unknown counts are 0: the vendor's SDKs require the numbers."""
    used = usage or Usage()
    read, written, hour = used.cache_read_tokens, used.cache_write_tokens, used.cache_write_1h_tokens
    details = [
        {"ttl": ttl, "inputTokens": count} for ttl, count in (("1h", hour), ("5m", written - hour)) if written and count
    ]
    fields: dict[str, Any] = {
        "inputTokens": max(0, used.input_tokens - read - written),
        "outputTokens": used.output_tokens,
        "totalTokens": used.total_tokens,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }
    return fields | ({"cacheDetails": details} if details else {})


def read_stop_sequence(told: Any) -> str:
    """The stop sequence, from where Claude has it; it comes only if the request asked for these fields."""
    for fields in (told, told.get("delta")) if isinstance(told, dict) else ():
        found = fields.get("stop_sequence") if isinstance(fields, dict) else None
        if isinstance(found, str):
            return found
    return ""


def stop_fields(finish: FinishReason, stop_sequence: str) -> dict[str, Any]:
    """`stopReason`, and the stop sequence where Claude has it."""
    if not stop_sequence:
        return {"stopReason": STOP[finish]}
    return {
        "stopReason": "stop_sequence",
        "additionalModelResponseFields": {"stop_sequence": stop_sequence},
    }


def _write_part(part: Part) -> dict[str, Any]:
    match part:
        case Thinking():
            return write_thinking(part)
        case ToolCall():
            return write_call(part)
        case Image():
            return write_image(part) or {"text": part.url}
        case Text(text) | Refusal(text):
            return {"text": text}
    raise TypeError(f"no answer holds a {type(part).__name__}")


def _count(told: dict[str, Any], name: str) -> int | None:
    count = told.get(name)
    return count if type(count) is int and 0 <= count < _NO_COUNT else None
