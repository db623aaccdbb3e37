"""Whole answers of OpenAI chat completions. Never insists on what a compatible provider may leave out."""

from typing import Any

import msgspec

from dominion.domain.contracts import Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import Answer, Image, Part, Refusal, Text, Thinking, ToolCall
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat import shapes
from dominion.wire.openai_chat.errors import mask, tell


class _Choice(msgspec.Struct):
    message: shapes.Message | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    usage: Any = None


class _End(msgspec.Struct):
    finish_reason: str | None = None


class _Told(msgspec.Struct):
    choices: list[_End] | None = None
    model: str | None = None
    usage: Any = None
    error: Any = None


_ANSWER = msgspec.json.Decoder(_Answer)
_TOLD = msgspec.json.Decoder(_Told)
_ANYTHING = msgspec.json.Decoder(Any)


def read_answer(body: bytes) -> Answer:
    """A provider's whole answer. Raises UnexpectedResponse, also for an error that came as an answer (OpenRouter).

    Several choices are read as one: the gateway never asks for more, and Copilot cuts text and tool calls apart.
    """
    answer = decode_answer(_ANSWER, body)
    if not answer.choices:
        said = mask(tell(decode_answer(_ANYTHING, body)).message)
        raise UnexpectedResponse(f"The provider's answer holds no choices. It says: {said or 'nothing'}")
    unread: set[str] = set()
    parts: list[Part] = []
    for choice in answer.choices:
        message = choice.message or shapes.Message()
        parts += shapes.read_parts(message, unread)
        old = message.function_call
        if old is not None and old.name:
            parts.append(ToolCall(f"call_{len(parts)}", old.name, old.text))
    told = next((choice.finish_reason for choice in answer.choices if choice.finish_reason), "")
    return Answer(
        id=answer.id or "",
        model=answer.model or "",
        parts=tuple(parts),
        finish=shapes.finish_of(
            told,
            refused=any(isinstance(part, Refusal) for part in parts),
            calls=any(isinstance(part, ToolCall) for part in parts),
        ),
        usage=shapes.read_usage(answer.usage),
    )


def write_answer(answer: Answer, *, now: int) -> bytes:
    """An answer for a caller. Reasoning goes into `reasoning_content`, and with its signatures into
    `reasoning_details` (see ReasoningDetail), from where it is read back when the caller returns the message.
    """
    thinking = [part for part in answer.parts if isinstance(part, Thinking)]
    refusal = "".join(part.text for part in answer.parts if isinstance(part, Refusal))
    texts = [part.text for part in answer.parts if isinstance(part, Text)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": refusal or None,
    }
    reasoning = "".join(part.text for part in thinking)
    if reasoning:
        message["reasoning_content"] = reasoning
    if len(thinking) > 1 or any(part.signature or part.redacted for part in thinking):
        message["reasoning_details"] = shapes.write_details(thinking)
    images = [shapes.write_image(part) for part in answer.parts if isinstance(part, Image)]
    if images:
        message["images"] = images
    calls = [shapes.write_call(part) for part in answer.parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = calls
    finish = shapes.finish_word(answer.finish, refused=bool(refusal))
    body: dict[str, Any] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": now,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
    }
    if answer.usage is not None:
        body["usage"] = shapes.write_usage(answer.usage)
    return msgspec.json.encode(body)


def read_seen(body: bytes) -> Seen:
    """Usage, finish and model of an answer that is relayed untouched."""
    told = decode_answer(_TOLD, body)
    finish = next((choice.finish_reason for choice in told.choices or () if choice.finish_reason), "")
    usage = shapes.read_usage(told.usage)
    return Seen(
        usage=usage,
        finish=shapes.FINISH.get(finish, "stop") if finish else "",
        model=told.model or "",
        frames=1,
        content_bytes=len(body) if usage is None else 0,
        done=True,
        failed="" if told.error is None else mask(tell({"error": told.error}).message) or "error",
    )
