"""Whole answers of OpenAI Responses. Never insists on what a provider may leave out."""

from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import Answer, FinishReason, Part, Refusal, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat import shapes as chat
from dominion.wire.openai_chat.errors import mask, tell
from dominion.wire.openai_responses.items import (
    ITEM,
    KIND,
    KNOWN,
    Kind,
    read_parts,
    read_usage,
    write_output,
    write_usage,
)

_INCOMPLETE: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_CHAT_WORDS = {"max_output_tokens": "length"}
_NEVER_ENDED = frozenset({"failed", "cancelled", "queued", "in_progress"})


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class Response(msgspec.Struct):
    """A whole answer, or its state inside a stream."""

    output: list[msgspec.Raw] | None = None
    id: str | None = None
    model: str | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    error: Any = None
    usage: Any = None


class Glance(msgspec.Struct):
    """What the gateway needs of an answer that it relays; the items are walked over."""

    output: list[Kind] | None = None
    model: Any = None
    status: Any = None
    incomplete_details: Any = None
    error: Any = None
    usage: Any = None


_RESPONSE = msgspec.json.Decoder(Response)
_GLANCE = msgspec.json.Decoder(Glance)


def read_answer(body: bytes) -> Answer:
    """A provider's whole answer. Raises UnexpectedResponse, also for one that failed or that is not there yet."""
    response = decode_answer(_RESPONSE, body)
    if response.output is None or response.status in _NEVER_ENDED:
        said = mask(tell({"error": response.error}).message)
        raise UnexpectedResponse(f"The provider's answer has no end ({response.status}). It says: {said or 'nothing'}")
    parts = output_parts(response)
    return Answer(
        id=response.id or "",
        model=response.model or "",
        parts=tuple(parts),
        finish=finish_of(
            response,
            refused=any(isinstance(part, Refusal) for part in parts),
            calls=any(isinstance(part, ToolCall) for part in parts),
        ),
        usage=read_usage(response.usage),
    )


def output_parts(response: Response) -> list[Part]:
    """The parts of an answer; items of tools that the provider runs itself have none."""
    parts: list[Part] = []
    for raw in response.output or ():
        if decode_answer(KIND, raw).type in KNOWN:
            parts += read_parts(decode_answer(ITEM, raw), set())
    return parts


def finish_of(response: Response, *, refused: bool, calls: bool) -> FinishReason:
    """Why the answer ended."""
    reason = (response.incomplete_details and response.incomplete_details.reason) or ""
    return chat.finish_of(_CHAT_WORDS.get(reason, reason), refused=refused, calls=calls)


def write_answer(answer: Answer, *, now: int) -> bytes:
    """An answer for a caller."""
    output = write_output(answer.parts, answer.id)
    return msgspec.json.encode(write_response(answer.id, answer.model, output, answer.finish, answer.usage, now))


def write_response(
    answer_id: str, model: str, output: list[dict[str, Any]], finish: FinishReason | None, usage: Usage | None, now: int
) -> dict[str, Any]:
    """The `response` object; `finish` None while it runs. What it echoes of a request in the original (tools, for
    example) has its neutral value, since a translated answer no longer knows it.
    """
    reason = _INCOMPLETE.get(finish) if finish else None
    status = "in_progress" if finish is None else "incomplete" if reason else "completed"
    failed = {"code": "server_error", "message": "The provider failed."} if finish == "error" else None
    return {
        "id": answer_id,
        "object": "response",
        "created_at": now,
        "status": "failed" if failed else status,
        "error": failed,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "store": False,
        "usage": write_usage(usage) if usage is not None else None,
    }


def read_seen(body: bytes) -> Seen:
    """Usage, finish and model of an answer that is relayed untouched."""
    seen = Seen(frames=1, done=True)
    note(seen, decode_answer(_GLANCE, body))
    seen.content_bytes = 0 if seen.usage is not None else len(body)
    return seen


def note(seen: Seen, told: Glance) -> None:
    """Take down what the `response` object tells, whole or inside a stream."""
    seen.usage = read_usage(told.usage) or seen.usage
    seen.model = told.model if isinstance(told.model, str) else seen.model
    if told.error is not None:
        seen.failed = mask(tell({"error": told.error}).message) or "error"
    elif told.status not in _NEVER_ENDED:
        details = told.incomplete_details
        reason = str(details.get("reason")) if isinstance(details, dict) else ""
        calls = any(item.type == "function_call" for item in told.output or ())
        seen.finish = chat.finish_of(_CHAT_WORDS.get(reason, reason), refused=False, calls=calls)
