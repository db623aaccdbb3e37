"""Whole answers of the Gemini API: parts, finish reasons and token counts. Never reads a stream.

Token counts (reference/providers.md 1.1): cached tokens stand inside the prompt; what the provider's own tools add to
it, and what was thought, stand beside prompt and candidates.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import Answer, FinishReason, Part, Refusal, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.fields import decode_answer
from dominion.wire.gemini.errors import failure_of
from dominion.wire.gemini.parts import Content, call_ids, read_parts, write_parts

REFUSED = "SAFETY"
CALL_MARK = b'"functionCall"'

_FINISH: dict[str | int, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), "content_filter"),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter"),
    **dict.fromkeys(("MODEL_ARMOR", "ESCALATION"), "content_filter"),
    1: "stop",
    2: "length",
    **dict.fromkeys((3, 4, 6, 7, 8, 10), "content_filter"),
}
"""Names, and numbers as Vertex writes them with `enum-encoding=int`; any other says that the answer went wrong."""

_WORDS: dict[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "pause": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": REFUSED,
    "refusal": REFUSED,
    "error": "OTHER",
}
_ABSURD = 10**12


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers asked for."""

    content: Content | None = None
    finish_reason: str | int | None = None
    finish_message: str | None = None


class Feedback(msgspec.Struct, rename="camel"):
    """Why a prompt was blocked."""

    block_reason: str | int | None = None
    block_reason_message: str | None = None


class Message(msgspec.Struct, rename="camel"):
    """A whole answer, or a chunk of a streamed one."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Any = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None

    @property
    def blocked(self) -> Feedback | None:
        """Set when there is no answer because the prompt was blocked."""
        return self.prompt_feedback if self.prompt_feedback and self.prompt_feedback.block_reason else None


class _End(msgspec.Struct, rename="camel"):
    finish_reason: str | int | None = None


class Glance(msgspec.Struct, rename="camel"):
    """What the gateway needs of an answer or chunk that it relays."""

    candidates: list[_End] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Any = None
    model_version: str | None = None
    error: Any = None


_MESSAGE = msgspec.json.Decoder(Message)
_GLANCE = msgspec.json.Decoder(Glance)


def read_answer(body: bytes) -> Answer:
    """A provider's whole answer. Several candidates are read as one: the gateway never asks for more.

    Raises UnexpectedResponse, also for an error that came as an answer.
    """
    message = decode_answer(_MESSAGE, body)
    if message.error is not None:
        raise UnexpectedResponse(f"The provider sent an error as if it were an answer: {failure_of(body).message}")
    if not message.candidates and message.blocked is None:
        raise UnexpectedResponse("The provider's answer holds no candidates.")
    ids = call_ids(message.response_id or "")
    parts: list[Part] = []
    reason: str | int | None = None
    words = (message.blocked and message.blocked.block_reason_message) or ""
    for candidate in message.candidates or ():
        parts += read_parts((candidate.content and candidate.content.parts) or (), ids, set())
        reason = reason or candidate.finish_reason
        words = words or candidate.finish_message or ""
    calls = any(isinstance(part, ToolCall) for part in parts)
    finish = "content_filter" if message.blocked else finish_of(reason, calls=calls)
    if words and finish == "content_filter":
        parts.append(Refusal(words))
    return Answer(
        id=message.response_id or "",
        model=message.model_version or "",
        parts=tuple(parts),
        finish=finish,
        usage=read_usage(message.usage_metadata),
    )


def write_answer(answer: Answer) -> bytes:
    """An answer for a caller."""
    lost: set[str] = set()
    shown = [part for part in answer.parts if not isinstance(part, Refusal)]
    refusal = "".join(part.text for part in answer.parts if isinstance(part, Refusal))
    parts = write_parts(shown, lost, answer=True)
    return msgspec.json.encode(
        {
            "candidates": [write_candidate(parts, answer.finish, refusal)],
            **write_head(answer.id, answer.model, answer.usage),
        }
    )


def read_seen(body: bytes) -> Seen:
    """What the gateway needs of an answer that it relays. Raises UnexpectedResponse when it is no JSON object."""
    seen = Seen(frames=1, done=True)
    look(seen, body, calls=CALL_MARK in body)
    seen.content_bytes = len(body) if seen.usage is None else 0
    return seen


def look(seen: Seen, body: bytes, *, calls: bool) -> None:
    """Note what an answer or a chunk tells; `calls`: a call of a tool was seen so far."""
    told = decode_answer(_GLANCE, body)
    seen.model = told.model_version or seen.model
    seen.usage = read_usage(told.usage_metadata) or seen.usage
    for end in told.candidates or ():
        if end.finish_reason:
            seen.finish = finish_of(end.finish_reason, calls=calls)
    if told.prompt_feedback and told.prompt_feedback.block_reason:
        seen.finish = "content_filter"
    if told.error is not None:
        failure = failure_of(body)
        seen.failed = failure.message or failure.kind or "error"


def finish_of(told: str | int | None, *, calls: bool) -> FinishReason:
    """The finish reason; calls of tools end with STOP, and an answer that tells none is as whole as it looks."""
    reason = _FINISH.get(told, "error") if told else "stop"
    return "tool_calls" if calls and reason == "stop" else reason


def write_candidate(parts: Sequence[dict[str, Any]], finish: FinishReason, refusal: str) -> dict[str, Any]:
    """The candidate with its end."""
    said = {"finishMessage": refusal} if refusal else {}
    reason = REFUSED if refusal else _WORDS[finish]
    return {"content": {"parts": parts, "role": "model"}, "finishReason": reason, **said, "index": 0}


def write_head(answer_id: str, model: str, usage: Usage | None) -> dict[str, Any]:
    """What stands beside the candidates."""
    told = {} if usage is None else {"usageMetadata": write_usage(usage)}
    return {**told, "modelVersion": model, "responseId": answer_id}


def read_usage(told: object) -> Usage | None:
    """`usageMetadata` normalised; None when it holds no counts. What is no sane count is as if it were not there."""
    if not isinstance(told, dict):
        return None
    counts = {name: count for name, count in told.items() if type(count) is int and 0 <= count <= _ABSURD}
    if not counts.keys() & {"promptTokenCount", "candidatesTokenCount", "totalTokenCount"}:
        return None
    total, thoughts = counts.get("totalTokenCount", 0), counts.get("thoughtsTokenCount", 0)
    prompt = counts.get("promptTokenCount", 0)
    used = prompt + counts.get("toolUsePromptTokenCount", 0)
    return Usage(
        input_tokens=used,
        output_tokens=max(counts.get("candidatesTokenCount", 0) + thoughts, total - used),
        cache_read_tokens=min(counts.get("cachedContentTokenCount", 0), used),
        reasoning_tokens=thoughts,
    )


def write_usage(usage: Usage) -> dict[str, int]:
    """`usageMetadata`."""
    counts = {
        "promptTokenCount": usage.input_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
    }
    always = ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")
    return {name: count for name, count in counts.items() if count or name in always}
