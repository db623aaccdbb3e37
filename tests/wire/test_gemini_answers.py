"""Whole answers of the Gemini API, and counting tokens."""

import json
from typing import Any

import pytest

from dominion.domain.errors import InvalidRequest, UnexpectedResponse
from dominion.domain.messages import Answer, FinishReason, Image, Refusal, Text, Thinking, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.gemini.count import (
    patch_count_request,
    read_count_answer,
    read_count_request,
    write_count_answer,
    write_count_request,
)
from dominion.wire.gemini.dialect import GEMINI as DIALECT
from tests.wire.gemini_door import HELLO, USER, fields_of


def answer(*parts: dict[str, Any], finish: str | int = "STOP", **more: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, "index": 0}
    whole = {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r1"}
    return json.dumps(whole | more, separators=(",", ":")).encode()


def read(*parts: dict[str, Any], **more: Any) -> Answer:
    return DIALECT.read_answer(answer(*parts, **more))


def test_an_answer_is_read() -> None:
    told = read(
        {"text": "h", "thought": True},
        {"text": "m", "thought": True},
        {"text": "Hello", "thoughtSignature": "s1"},
        {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "s2"},
        {"functionCall": {"id": "b", "name": "g"}},
        {"executableCode": {"code": "1"}, "thoughtSignature": "s3"},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        usageMetadata={"promptTokenCount": 7, "totalTokenCount": 7},
    )
    parts = (
        *(Thinking("hm"), Text("Hello"), Thinking(signature="s1")),
        *(ToolCall("call_r1_0", "f", '{"x":1}', signature="s2"), ToolCall("b", "g", "{}")),
        Image(media_type="image/png", data="aGk="),
    )
    assert told == Answer("r1", "gemini-x", parts, "tool_calls", Usage(input_tokens=7))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("STOP", "stop"),
        (1, "stop"),
        ("MAX_TOKENS", "length"),
        (2, "length"),
        ("SAFETY", "content_filter"),
        (3, "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("MISSING_THOUGHT_SIGNATURE", "error"),
        (99, "error"),
    ],
)
def test_finish_reasons_are_read_as_words_and_as_numbers(told: str | int, expected: FinishReason) -> None:
    body = answer({"text": "Hi"}, finish=told)
    assert DIALECT.read_answer(body).finish == expected
    assert DIALECT.read_seen(body).finish == expected


def test_a_blocked_prompt_is_an_answer_of_the_content_filter() -> None:
    body = b'{"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"Not this."},"responseId":"r"}'
    told = DIALECT.read_answer(body)
    assert told == Answer("r", "", (Refusal("Not this."),), "content_filter", None)
    assert DIALECT.read_seen(body).finish == "content_filter"
    written = json.loads(DIALECT.write_answer(told, now=7))["candidates"][0]
    assert (written["finishReason"], written["finishMessage"]) == ("SAFETY", "Not this.")


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"<html>",
        b'{"candidates":[],"promptFeedback":{}}',
        b'{"candidates":[{"content":{"parts":[{"text":1}]}}]}',
        b'{"error":{"code":503,"message":"Busy.","status":"UNAVAILABLE"}}',
    ],
)
def test_what_is_no_answer_is_unexpected(body: bytes) -> None:
    with pytest.raises(UnexpectedResponse):
        DIALECT.read_answer(body)


def test_several_candidates_are_read_as_one() -> None:
    one = {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}
    two = {"content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS"}
    told = DIALECT.read_answer(json.dumps({"candidates": [one, two]}).encode())
    assert (told.parts, told.finish) == ((Text("a"), Text("b")), "stop")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "cachedContentTokenCount": 4}
            | {"candidatesTokenCount": 3, "thoughtsTokenCount": 2, "totalTokenCount": 20},
            Usage(input_tokens=15, output_tokens=5, cache_read_tokens=4, reasoning_tokens=2),
        ),
        ({"promptTokenCount": 10, "totalTokenCount": 30}, Usage(input_tokens=10, output_tokens=20)),
        ({"promptTokenCount": 3, "cachedContentTokenCount": 9}, Usage(input_tokens=3, cache_read_tokens=3)),
        ({"promptTokenCount": 3, "candidatesTokenCount": -1, "thoughtsTokenCount": True}, Usage(input_tokens=3)),
        ({"trafficType": "ON_DEMAND"}, None),
        ([], None),
        (None, None),
    ],
)
def test_counts_are_normalised(told: Any, expected: Usage | None) -> None:
    body = answer({"text": "Hi"}, usageMetadata=told)
    assert DIALECT.read_answer(body).usage == expected
    seen = DIALECT.read_seen(body)
    assert (seen.usage, bool(seen.content_bytes)) == (expected, expected is None)


def test_an_answer_of_another_provider_is_written() -> None:
    parts = (Thinking("hm", "s1"), Thinking("", "s2"), Text("Hi"), ToolCall("a", "f", ""), Thinking(redacted="s3"))
    usage = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4, cache_write_tokens=1, reasoning_tokens=2)
    written = json.loads(DIALECT.write_answer(Answer("r", "m", parts, "tool_calls", usage), now=7))
    assert written == {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "hm", "thought": True, "thoughtSignature": "s1"},
                        {"text": "", "thought": True, "thoughtSignature": "s2"},
                        {"text": "Hi"},
                        {"functionCall": {"id": "a", "name": "f", "args": {}}},
                        {"text": "", "thoughtSignature": "s3"},
                    ],
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 10,
            "cachedContentTokenCount": 4,
            "candidatesTokenCount": 3,
            "thoughtsTokenCount": 2,
            "totalTokenCount": 15,
        },
        "modelVersion": "m",
        "responseId": "r",
    }


@pytest.mark.parametrize(
    ("finish", "word"),
    [("stop", "STOP"), ("length", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("pause", "STOP"), ("error", "OTHER")],
)
def test_the_finish_is_told_in_google_s_words(finish: FinishReason, word: str) -> None:
    body = DIALECT.write_answer(Answer("r", "m", (Text("Hi"),), finish, None), now=7)
    assert json.loads(body)["candidates"][0]["finishReason"] == word
    assert "usageMetadata" not in json.loads(body)


def test_the_words_of_a_refusal_stand_beside_the_finish_and_come_back() -> None:
    refused = Answer("r", "m", (Refusal("No."),), "content_filter", Usage(1, 1))
    body = DIALECT.write_answer(refused, now=7)
    assert json.loads(body)["candidates"][0]["content"]["parts"] == []
    assert DIALECT.read_answer(body) == refused


# --- counting tokens

WRAPPED = {"generateContentRequest": {"model": "models/old", "contents": HELLO, "systemInstruction": {"parts": []}}}


@pytest.mark.parametrize("body", [{"contents": HELLO}, WRAPPED, {"generate_content_request": {"contents": HELLO}}])
def test_what_is_to_be_counted_is_read_bare_and_wrapped(body: dict[str, Any]) -> None:
    request = read_count_request(fields_of(body, model="gemini-x"))
    assert (request.model, request.messages, request.unread) == ("gemini-x", (USER,), ())


def test_a_count_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_count_request(fields_of({"generateContentRequest": {}}))


def test_a_count_is_patched_in_the_wrapper_only() -> None:
    expected = json.loads(json.dumps(WRAPPED)) | {}
    expected["generateContentRequest"]["model"] = "models/new"
    assert json.loads(patch_count_request(fields_of(WRAPPED), model="new")) == expected
    assert json.loads(patch_count_request(fields_of({"contents": HELLO}), model="new")) == {"contents": HELLO}


def test_a_count_is_asked_for_wrapped_and_bare() -> None:
    request = read_count_request(fields_of({"contents": HELLO}))
    bare = write_count_request(request, model="m", wrapped=False)
    wrapped = write_count_request(request, model="m", wrapped=True)
    assert json.loads(bare.body) == {"contents": HELLO}
    assert json.loads(wrapped.body) == {"generateContentRequest": {"contents": HELLO, "model": "models/m"}}


def test_a_count_is_told_and_read() -> None:
    assert read_count_answer(b'{"totalTokens": 5, "promptTokensDetails": []}') == 5
    assert read_count_answer(write_count_answer(7)) == 7
    with pytest.raises(UnexpectedResponse):
        read_count_answer(b'{"tokens": 5}')
