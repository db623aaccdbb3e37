"""Answers of every provider at every door, whole and streamed."""

import json
from typing import Any

import pytest

from dominion.domain.contracts import Dialect
from dominion.domain.messages import Thinking
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.native.dialect import NATIVE
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.wire.dialect_pairs import (
    EXPECTED,
    collect,
    doors,
    facts_of,
    is_anthropic,
    pairs,
    relayed,
    streamed_answer,
    translated,
    whole_answer,
)


@pairs
def test_a_whole_answer_comes_back_in_the_doors_words(door: Dialect, provider: Dialect) -> None:
    body = door.write_answer(provider.read_answer(whole_answer(provider)), now=7)
    assert facts_of(door, body) == EXPECTED[door.name]


@pairs
@pytest.mark.parametrize("size", [1, 33, 10_000])
def test_a_streamed_answer_comes_back_in_the_doors_words(door: Dialect, provider: Dialect, size: int) -> None:
    """Collected by the door's own reader, which its own tests hold against the vendors' SDKs and recordings."""
    stream = streamed_answer(provider)
    out = relayed(provider, door, [stream[start : start + size] for start in range(0, len(stream), size)])
    collected = collect(relayed(door, ANTHROPIC_MESSAGES, [out]))
    assert facts_of(ANTHROPIC_MESSAGES, json.dumps(collected).encode()) == EXPECTED["anthropic_messages"]


@doors
def test_signed_thinking_goes_out_to_the_caller_and_back_to_the_provider_unchanged(door: Dialect) -> None:
    answer = ANTHROPIC_MESSAGES.read_answer(whole_answer(ANTHROPIC_MESSAGES))
    told = json.loads(door.write_answer(answer, now=7))
    if is_anthropic(door):
        turn = {"role": "assistant", "content": told["content"]}
    elif door is NATIVE:
        turn = {"role": "assistant", **{name: told[name] for name in ("content", "tool_calls", "reasoning")}}
    else:
        turn = told["choices"][0]["message"]
    turns = [{"role": "user", "content": "Hi"}, turn, {"role": "user", "content": "Go on."}]
    read, _, lost = translated(door, ANTHROPIC_MESSAGES, {"messages": turns})
    assert read.messages[1].parts[:2] == (Thinking("hm", "c2ln"), Thinking(redacted="c2VhbA=="))
    assert lost == set()


STOPS = [
    (OPENAI_CHAT, "stop", {"native": "stop", "openai_chat": "stop", "anthropic_messages": "end_turn"}),
    (OPENAI_CHAT, "length", {"native": "length", "openai_chat": "length", "anthropic_messages": "max_tokens"}),
    (
        OPENAI_CHAT,
        "content_filter",
        dict.fromkeys(("native", "openai_chat"), "content_filter") | {"anthropic_messages": "refusal"},
    ),
    (ANTHROPIC_MESSAGES, "end_turn", {"native": "stop", "openai_chat": "stop", "anthropic_messages": "end_turn"}),
    (
        ANTHROPIC_MESSAGES,
        "max_tokens",
        {"native": "length", "openai_chat": "length", "anthropic_messages": "max_tokens"},
    ),
    (
        ANTHROPIC_MESSAGES,
        "refusal",
        {"native": "refusal", "openai_chat": "content_filter", "anthropic_messages": "refusal"},
    ),
    (ANTHROPIC_MESSAGES, "pause_turn", {"native": "pause", "openai_chat": "stop", "anthropic_messages": "pause_turn"}),
]


@doors
@pytest.mark.parametrize(("provider", "reason", "expected"), STOPS)
def test_the_reason_of_the_end_is_told_in_the_doors_words(
    door: Dialect, provider: Dialect, reason: str, expected: dict[str, str]
) -> None:
    told: dict[str, Any] = {"choices": [{"message": {"content": "Hi"}, "finish_reason": reason}]}
    if is_anthropic(provider):
        told = {"content": [{"type": "text", "text": "Hi"}], "stop_reason": reason}
    answer = json.loads(door.write_answer(provider.read_answer(json.dumps(told).encode()), now=7))
    answer = answer["choices"][0] if door is OPENAI_CHAT else answer
    assert answer["stop_reason" if is_anthropic(door) else "finish_reason"] == expected[door.name]


@pairs
def test_a_refusal_comes_back_with_its_words(door: Dialect, provider: Dialect) -> None:
    told: dict[str, Any] = {"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]}
    if is_anthropic(provider):
        told = {"content": [], "stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "No."}}
    answer = json.loads(door.write_answer(provider.read_answer(json.dumps(told).encode()), now=7))
    if is_anthropic(door):
        assert (answer["stop_reason"], answer["stop_details"]["explanation"]) == ("refusal", "No.")
    else:
        message = answer if door is NATIVE else answer["choices"][0]["message"]
        assert message["refusal"] == "No."
