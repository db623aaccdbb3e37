"""Doors, providers, and one answer as both providers tell it, whole and streamed. Reads JSON plainly, never by ours."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from dominion.domain.contracts import Dialect
from dominion.domain.messages import Request
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.fields import read_fields
from dominion.wire.native.dialect import NATIVE
from dominion.wire.openai_chat.dialect import OPENAI_CHAT

DOORS = (NATIVE, OPENAI_CHAT, ANTHROPIC_MESSAGES)
PROVIDERS = (OPENAI_CHAT, ANTHROPIC_MESSAGES)
pairs = pytest.mark.parametrize(
    ("door", "provider"),
    [pytest.param(*pair, id=f"{pair[0].name}-{pair[1].name}") for pair in itertools.product(DOORS, PROVIDERS)],
)
doors = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)

MODEL = {"openai_chat": "gpt-4o", "anthropic_messages": "claude-sonnet-4-5"}


def is_anthropic(dialect: Dialect) -> bool:
    """The one dialect that differs from the others in most shapes."""
    return dialect is ANTHROPIC_MESSAGES


def translated(door: Dialect, provider: Dialect, fields: dict[str, Any]) -> tuple[Request, dict[str, Any], set[str]]:
    """What the provider understands of the door's request, its body, and what was reported as lost."""
    whole = {"model": "m", "max_tokens": 8192} | fields
    request = door.read_request(read_fields(json.dumps(whole).encode()))
    written = provider.write_request(request, model=MODEL[provider.name], output_cap=None)
    return provider.read_request(read_fields(written.body)), json.loads(written.body), set(written.lost)


def relayed(provider: Dialect, door: Dialect, chunks: list[bytes]) -> bytes:
    """The provider's stream as the caller gets it."""
    reader, writer = provider.reader(), door.writer(now=7, asks_usage=True)
    events = [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()
    return b"".join(map(writer.write, events)) + writer.end()


OPENAI_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
ANTHROPIC_USAGE = {
    "input_tokens": 60,
    "cache_read_input_tokens": 40,
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 20},
}
CALLS = [("a", "f", {"x": 1}), ("b", "g", {"y": 2})]


def _anthropic() -> dict[str, Any]:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VhbA=="},
        {"type": "text", "text": "Hello"},
        *({"type": "tool_use", "id": call, "name": name, "input": given} for call, name, given in CALLS),
    ]
    told = {"id": "1", "type": "message", "role": "assistant", "model": "x", "content": content}
    return told | {"stop_reason": "tool_use", "usage": ANTHROPIC_USAGE}


def _openai() -> dict[str, Any]:
    calls = [
        {"id": call, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for call, name, given in CALLS
    ]
    message = {"role": "assistant", "content": "Hello", "reasoning_content": "hm", "tool_calls": calls}
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    return {"id": "1", "model": "x", "choices": choices, "usage": OPENAI_USAGE}


def whole_answer(provider: Dialect) -> bytes:
    """The whole answer of the provider."""
    return json.dumps(_anthropic() if is_anthropic(provider) else _openai()).encode()


def streamed_answer(provider: Dialect) -> bytes:
    """The same as a stream: each text in two pieces, arguments in three."""
    if is_anthropic(provider):
        frames = [
            b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in _events()
        ]
        return b"".join(frames)
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in _chunks()) + b"data: [DONE]\n\n"


def _chunks() -> Iterator[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"reasoning_content": "h"}, {"reasoning_content": "m"}]
    deltas += [{"content": "Hel"}, {"content": "lo"}]
    for index, (call, name, given) in enumerate(CALLS):
        text = json.dumps(given)
        deltas.append({"tool_calls": [{"index": index, "id": call, "function": {"name": name, "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in (text[:3], text[3:])
        ]
    for delta in deltas:
        yield {"id": "1", "model": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {"id": "1", "model": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    yield {"id": "1", "model": "x", "choices": [], "usage": OPENAI_USAGE}


def _events() -> Iterator[dict[str, Any]]:
    whole = _anthropic()
    yield {"type": "message_start", "message": whole | {"content": [], "stop_reason": None}}
    for index, block in enumerate(whole["content"]):
        empty = {"text": "", "thinking": "", "signature": "", "input": {}}
        start = block | {name: value for name, value in empty.items() if name in block}
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for kind, name, piece in _pieces(block):
            yield {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", name: piece}}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": ANTHROPIC_USAGE}
    yield {"type": "message_stop"}


def _pieces(block: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    match block["type"]:
        case "tool_use":
            text = json.dumps(block["input"])
            yield from (("input_json", "partial_json", piece) for piece in ("", text[:3], text[3:]))
        case "text" | "thinking" as kind:
            yield from ((kind, kind, piece) for piece in (block[kind][:2], block[kind][2:]))
    if "signature" in block:
        yield "signature", "signature", block["signature"]


Facts = tuple[str, str, list[tuple[str, str, Any]], str, tuple[int, int, int, int]]


def facts_of(door: Dialect, body: bytes) -> Facts:
    """Text, reasoning, calls, finish and (input, cached, output, reasoning) of an answer."""
    told = json.loads(body)
    if is_anthropic(door):
        content, used = told["content"], told["usage"]
        cached = used["cache_read_input_tokens"]
        return (
            "".join(block["text"] for block in content if block["type"] == "text"),
            "".join(block["thinking"] for block in content if block["type"] == "thinking"),
            [(block["id"], block["name"], block["input"]) for block in content if block["type"] == "tool_use"],
            told["stop_reason"],
            (
                used["input_tokens"] + cached + used["cache_creation_input_tokens"],
                *(cached, used["output_tokens"], used["output_tokens_details"]["thinking_tokens"]),
            ),
        )
    if door is NATIVE:
        message, finish, used = told, told["finish_reason"], told["usage"]
        counts = (used["promptTokens"], used["cachedTokens"], used["completionTokens"], used["reasoningTokens"])
        reasoning = "".join(piece.get("text", "") for piece in told["reasoning"])
    else:
        message, finish, used = told["choices"][0]["message"], told["choices"][0]["finish_reason"], told["usage"]
        cached, thought = used["prompt_tokens_details"], used["completion_tokens_details"]
        counts = (
            used["prompt_tokens"],
            cached["cached_tokens"],
            used["completion_tokens"],
            thought["reasoning_tokens"],
        )
        reasoning = message["reasoning_content"]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message["tool_calls"]
    ]
    return message["content"], reasoning, calls, finish, counts


def collect(stream: bytes) -> dict[str, Any]:
    """The whole message of a stream of the Anthropic Messages API."""
    message: dict[str, Any] = {}
    for line in stream.decode().splitlines():
        event: dict[str, Any] = json.loads(line[6:]) if line.startswith("data: ") else {"type": ""}
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"] | {"arguments": ""})
            case "content_block_delta":
                for name, piece in event["delta"].items():
                    field = "arguments" if name == "partial_json" else name
                    if name != "type":
                        message["content"][event["index"]][field] += piece
            case "message_delta":
                message |= event["delta"] | {"usage": event["usage"]}
    for block in message["content"]:
        block["input"] = json.loads(block.pop("arguments") or "{}")
    return message


EXPECTED = {
    door.name: ("Hello", "hm", CALLS, "tool_use" if is_anthropic(door) else "tool_calls", (100, 40, 50, 20))
    for door in DOORS
}
