"""The stub's answers in the OpenAI chat dialect: whole, or as a stream of one frame per token. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

CHARACTERS_PER_TOKEN = 4
_SERVER_ERROR = 500
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 529: "overloaded"}


class Part(msgspec.Struct, frozen=True):
    """A run of output: `field` is "reasoning_content", "content", "refusal" or "arguments" (of a tool call)."""

    field: str
    text: str


class Answer(msgspec.Struct, frozen=True):
    """What is answered, before it takes a shape. `tool` is the name of the called tool."""

    id: str
    model: str
    parts: tuple[Part, ...]
    finish: str
    prompt_tokens: int
    tool: str = ""
    choices: int = 1
    says_usage: bool = True


def count(text: str) -> int:
    """The stub's tokens of a text."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def cut(parts: tuple[Part, ...], cap: int) -> tuple[Part, ...]:
    """The parts as far as `cap` tokens reach; the same object when nothing had to go."""
    if sum(count(part.text) for part in parts) <= cap:
        return parts
    kept = []
    for part in parts:
        kept.append(Part(part.field, part.text[: cap * CHARACTERS_PER_TOKEN]))
        cap -= count(kept[-1].text)
    return tuple(part for part in kept if part.text)


def whole(answer: Answer) -> bytes:
    """The body of a whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    for part in answer.parts:
        if part.field == "arguments":
            message["tool_calls"] = [_tool_call(answer, part.text)]
        else:
            message[part.field] = part.text
    choice = {"message": message, "logprobs": None, "finish_reason": answer.finish}
    body = _envelope(answer, "chat.completion", [{"index": index, **choice} for index in range(answer.choices)])
    if answer.says_usage:
        body["usage"] = _usage(answer)
    return msgspec.json.encode(body)


def stream(answer: Answer, *, include_usage: bool) -> Iterator[tuple[int, bytes]]:
    """The frames of a streamed answer, each with the number of tokens that it carries."""
    yield 0, _frames(answer, {"role": "assistant", "content": ""})
    for part in answer.parts:
        if part.field == "arguments":
            yield 0, _frames(answer, {"tool_calls": [{"index": 0, **_tool_call(answer, "")}]})
        for start in range(0, len(part.text), CHARACTERS_PER_TOKEN):
            token = part.text[start : start + CHARACTERS_PER_TOKEN]
            if part.field == "arguments":
                delta: dict[str, Any] = {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
            else:
                delta = {part.field: token}
            yield 1, _frames(answer, delta)
    yield 0, _frames(answer, {}, answer.finish)
    if include_usage and answer.says_usage:
        yield 0, _frame({**_envelope(answer, "chat.completion.chunk", []), "usage": _usage(answer)})
    yield 0, b"data: [DONE]\n\n"


def error(status: int, message: str) -> bytes:
    """The body of an error."""
    kind = _TYPES.get(status, "invalid_request_error" if status < _SERVER_ERROR else "server_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": _CODES.get(status)}})


def _envelope(answer: Answer, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    # `created` is constant: the stub has no clock, and the same request gives the same bytes.
    return {"id": answer.id, "object": kind, "created": 0, "model": answer.model, "choices": choices}


def _frames(answer: Answer, delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One frame for each choice."""
    return b"".join(
        _frame(_envelope(answer, "chat.completion.chunk", [{"index": index, "delta": delta, "finish_reason": finish}]))
        for index in range(answer.choices)
    )


def _frame(body: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def _tool_call(answer: Answer, arguments: str) -> dict[str, Any]:
    function = {"name": answer.tool, "arguments": arguments}
    return {"id": answer.id.replace("chatcmpl-", "call_"), "type": "function", "function": function}


def _usage(answer: Answer) -> dict[str, Any]:
    made = answer.choices * sum(count(part.text) for part in answer.parts)
    reasoned = answer.choices * sum(count(part.text) for part in answer.parts if part.field == "reasoning_content")
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": made,
        "total_tokens": answer.prompt_tokens + made,
        "completion_tokens_details": {"reasoning_tokens": reasoned},
    }
