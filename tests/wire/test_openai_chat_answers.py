"""Whole answers of OpenAI chat completions, and the usage in them."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import Answer, Image, Part, Refusal, Text, Thinking, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.openai_chat.dialect import OPENAI_CHAT

FULL = Answer(
    id="chatcmpl-1",
    model="m",
    parts=(
        Thinking("Hm.", "sig"),
        Thinking(redacted="sealed"),
        Text("Let me see."),
        Image(url="https://x/y.png"),
        ToolCall("c1", "weather", '{"city":"Łódź"}'),
        ToolCall("c2", "now", "{}"),
    ),
    finish="tool_calls",
    usage=Usage(input_tokens=50, output_tokens=20, cache_read_tokens=30, cache_write_tokens=10, reasoning_tokens=15),
)


def read(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> Answer:
    body = {"id": "1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}]} | fields
    return OPENAI_CHAT.read_answer(json.dumps(body).encode())


def usage(**told: Any) -> Usage | None:
    return read({"content": "x"}, usage=told).usage


def written(answer: Answer) -> dict[str, Any]:
    body = json.loads(OPENAI_CHAT.write_answer(answer, now=7))
    assert isinstance(body, dict)
    return body


def test_an_answer_survives_writing_and_reading() -> None:
    assert OPENAI_CHAT.read_answer(OPENAI_CHAT.write_answer(FULL, now=7)) == FULL


@pytest.mark.parametrize(
    "parts", [(Thinking("Hm."), Text("x")), (Refusal("No."),), (Thinking("a"), Thinking("b")), (Text("x"),), ()]
)
def test_smaller_answers_survive_too(parts: tuple[Part, ...]) -> None:
    finish = "refusal" if isinstance((*parts, None)[0], Refusal) else "stop"
    answer = Answer("1", "m", parts, finish, None)  # type: ignore[arg-type]
    assert OPENAI_CHAT.read_answer(OPENAI_CHAT.write_answer(answer, now=7)) == answer


def test_the_sdk_s_own_classes_take_a_written_answer() -> None:
    answer = ChatCompletion.model_validate(written(FULL), strict=True)
    assert answer.choices[0].message.tool_calls is not None
    assert answer.usage is not None
    assert answer.usage.total_tokens == 70
    assert answer.created == 7


def test_signatures_travel_in_reasoning_details() -> None:
    message = written(FULL)["choices"][0]["message"]
    assert message["reasoning_content"] == "Hm."
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "Hm.", "signature": "sig"},
        {"type": "reasoning.encrypted", "index": 1, "data": "sealed"},
    ]


def test_plain_reasoning_needs_no_details() -> None:
    assert (
        "reasoning_details" not in written(Answer("1", "m", (Thinking("Hm."),), "stop", None))["choices"][0]["message"]
    )


@pytest.mark.parametrize(
    ("message", "told", "expected"),
    [
        ({"content": "x"}, "stop", "stop"),
        ({"content": "x"}, None, "stop"),
        ({"content": "x"}, "", "stop"),
        ({"content": "x"}, "eos", "stop"),
        ({"content": "x"}, "length", "length"),
        ({"content": "x"}, "model_length", "length"),
        ({"content": "x"}, "content_filter", "content_filter"),
        ({"content": "x"}, "insufficient_system_resource", "error"),
        ({"refusal": "No."}, "stop", "refusal"),
        ({"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}, "stop", "tool_calls"),
        ({"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}, "length", "length"),
        ({"function_call": {"name": "f", "arguments": "{}"}}, "function_call", "tool_calls"),
    ],
)
def test_finish_reasons_are_normalised(message: dict[str, Any], told: str | None, expected: str) -> None:
    assert read(message, told).finish == expected


@pytest.mark.parametrize(
    ("finish", "parts", "word"),
    [
        ("refusal", (Refusal("No."),), "stop"),
        ("refusal", (), "content_filter"),
        ("pause", (), "stop"),
        ("length", (), "length"),
        ("error", (), "error"),
    ],
)
def test_finish_reasons_are_written_as_openai_writes_them(finish: Any, parts: tuple[Part, ...], word: str) -> None:
    assert written(Answer("1", "m", parts, finish, None))["choices"][0]["finish_reason"] == word


def test_arguments_that_are_an_object_become_their_text() -> None:
    call = {"id": None, "function": {"name": "f", "arguments": {"a": [1]}}}
    assert read({"tool_calls": [call]}).parts == (ToolCall("call_0", "f", '{"a":[1]}'),)


def test_text_and_calls_in_two_choices_are_one_answer() -> None:
    choices = [
        {"index": 0, "message": {"content": "Let me see."}, "finish_reason": "tool_calls"},
        {"index": 1, "message": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}},
    ]
    assert read({}, choices=choices).parts == (Text("Let me see."), ToolCall("c", "f", "{}"))


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"choices":7}', b"null", b'{"choices":[]}', b"\xff", b"{}"])
def test_what_is_no_answer_is_unexpected(body: bytes) -> None:
    with pytest.raises(UnexpectedResponse):
        OPENAI_CHAT.read_answer(body)


def test_an_error_that_came_as_an_answer_is_unexpected_and_tells_why() -> None:
    body = b'{"error":{"message":"No provider for key sk-abcdefgh12345","code":502}}'
    with pytest.raises(UnexpectedResponse, match=r"It says: No provider for key \[masked\]"):
        OPENAI_CHAT.read_answer(body)
    assert OPENAI_CHAT.read_seen(body).failed == "No provider for key [masked]"


# --- usage


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, Usage(9, 2)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}, Usage(9, 2)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 3}, Usage(9, 2)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        # OpenAI: parts of the whole
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(100, 50, cache_read_tokens=60, cache_write_tokens=30, reasoning_tokens=40),
        ),
        # xAI: reasoning beside the completion
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            Usage(10, 105, reasoning_tokens=100),
        ),
        # Gemini's compatible API: thinking hidden in the total
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, Usage(35, 74)),
        # Mistral: audio of the prompt in the total only
        (
            {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 387, "prompt_audio_seconds": 30},
            Usage(380, 7),
        ),
        # DeepSeek, Mistral, Moonshot: the cache beside the details
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}, Usage(9, 1, cache_read_tokens=8)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "num_cached_tokens": 8}, Usage(9, 1, cache_read_tokens=8)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 8}, Usage(9, 1, cache_read_tokens=8)),
        # Azure's Grok, OpenRouter: parts larger than the whole
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 700, "cache_write_tokens": 700},
                "completion_tokens_details": {"reasoning_tokens": 8},
            },
            Usage(9, 3, cache_read_tokens=9, reasoning_tokens=3),
        ),
        ({"prompt_tokens": 9, "completion_tokens": None, "total_tokens": 11}, Usage(9, 2)),
        ({"completion_tokens": 2, "total_tokens": 11}, Usage(9, 2)),
        ({"prompt_tokens": 9, "total_tokens": 11, "cached_tokens": 8}, Usage(9, 2, cache_read_tokens=8)),
    ],
)
def test_usage_is_normalised(told: dict[str, Any], expected: Usage) -> None:
    assert usage(**told) == expected


@pytest.mark.parametrize("wrong", [None, -5, "7", 2.5, True, 10**13, [], {}])
def test_counts_that_are_none_are_not_reported_and_never_negative(wrong: Any) -> None:
    assert usage(prompt_tokens=wrong, completion_tokens=wrong) is None
    assert usage(prompt_tokens=9, completion_tokens=wrong, total_tokens=wrong) == Usage(9, 0)
    details = {"prompt_tokens_details": {"cached_tokens": wrong}, "completion_tokens_details": wrong}
    assert usage(prompt_tokens=9, completion_tokens=2, **details) == Usage(9, 2)


@pytest.mark.parametrize("told", [None, 7, "many", [], {}])
def test_usage_that_is_no_usage_is_none(told: Any) -> None:
    assert read({"content": "x"}, usage=told).usage is None


# --- relayed answers


def test_a_relayed_answer_is_seen() -> None:
    seen = OPENAI_CHAT.read_seen(OPENAI_CHAT.write_answer(FULL, now=7))
    assert (seen.usage, seen.finish, seen.model, seen.done, seen.failed) == (FULL.usage, "tool_calls", "m", True, "")


def test_a_relayed_answer_without_usage_is_measured_by_its_size() -> None:
    assert OPENAI_CHAT.read_seen(b'{"choices":[]}').content_bytes == len(b'{"choices":[]}')


@pytest.mark.parametrize("body", [b"", b"[1]", b"<html>", b"null"])
def test_a_relayed_answer_must_be_json_of_the_dialect(body: bytes) -> None:
    with pytest.raises(UnexpectedResponse):
        OPENAI_CHAT.read_seen(body)
