"""Whole answers and errors of the Anthropic Messages API."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain import errors as e
from dominion.domain.messages import Answer, FinishReason, Part, Refusal, Text, Thinking, ToolCall
from dominion.domain.usage import Usage
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES as DIALECT
from tests.wire.anthropic_oracle import answer_in_sdk, error_in_sdk

COUNTS = {"input_tokens": 10, "output_tokens": 5}


def answered(*content: dict[str, Any], **fields: Any) -> Answer:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": list(content)}
    return DIALECT.read_answer(json.dumps(message | {"stop_reason": "end_turn", "usage": COUNTS} | fields).encode())


def used(**counts: Any) -> Usage | None:
    return answered(usage=COUNTS | counts).usage


# --- reading


def test_text_thinking_and_calls_are_read_and_the_providers_own_tools_passed_over() -> None:
    answer = answered(
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VhbA=="},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]},
        {"type": "text", "text": "Hello", "citations": None},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1.50}, "caller": {"type": "direct"}},
        stop_reason="tool_use",
    )
    assert answer == Answer(
        id="msg_1",
        model="claude-x",
        parts=(
            Thinking("hm", "c2ln"),
            Thinking(redacted="c2VhbA=="),
            Text("Hello"),
            ToolCall("t", "f", '{"x": 1.5}'),
        ),
        finish="tool_calls",
        usage=Usage(10, 5),
    )


@pytest.mark.parametrize(
    ("told", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_every_stop_reason_has_a_finish(told: str | None, finish: FinishReason) -> None:
    assert answered(stop_reason=told).finish == finish


def test_a_refusal_keeps_its_explanation() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "I cannot help with that."}
    answer = answered(stop_reason="refusal", stop_details=details)
    assert (answer.finish, answer.parts) == ("refusal", (Refusal("I cannot help with that."),))


def test_cached_tokens_are_added_to_the_input() -> None:
    cached = used(cache_read_input_tokens=100, cache_creation_input_tokens=30)
    assert cached == Usage(140, 5, cache_read_tokens=100, cache_write_tokens=30)


def test_the_hour_long_cache_and_the_thinking_are_told_apart() -> None:
    told = used(
        cache_creation_input_tokens=30,
        cache_creation={"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        output_tokens_details={"thinking_tokens": 3},
    )
    assert told == Usage(40, 5, cache_write_tokens=30, cache_write_1h_tokens=20, reasoning_tokens=3)


def test_compactions_and_advisors_are_billed_on_top() -> None:
    apart = {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 7}
    told = used(
        iterations=[
            {"type": "compaction", **apart},
            {"type": "message", **COUNTS},
            {"type": "advisor_message", "model": "claude-y", **apart},
        ]
    )
    assert told == Usage(10 + 2 * 107, 5 + 2 * 50, cache_read_tokens=14)


@pytest.mark.parametrize("odd", [None, -1, True, "7", 7.5, [7], {"n": 7}, 2**60])
def test_a_count_that_is_no_count_is_as_if_it_were_not_there(odd: Any) -> None:
    assert used(cache_read_input_tokens=odd, output_tokens_details={"thinking_tokens": odd}) == Usage(10, 5)
    assert used(output_tokens=odd) is None
    assert answered(usage=odd).usage is None


def test_parts_of_the_counts_never_exceed_the_whole() -> None:
    told = used(cache_creation={"ephemeral_1h_input_tokens": 9}, output_tokens_details={"thinking_tokens": 9})
    assert told == Usage(10, 5, reasoning_tokens=5)


def test_the_relayed_answer_tells_usage_finish_and_model() -> None:
    told = {"content": [{"type": "x"}], "model": "m", "stop_reason": "max_tokens", "usage": COUNTS}
    seen = DIALECT.read_seen(json.dumps(told).encode())
    assert (seen.usage, seen.finish, seen.model, seen.done, seen.content_bytes) == (
        Usage(10, 5),
        "length",
        "m",
        True,
        0,
    )


def test_a_relayed_answer_without_usage_is_estimated_by_its_size() -> None:
    seen = DIALECT.read_seen(b'{"content":"?","usage":7,"model":null}')
    assert (seen.usage, seen.finish, seen.model, seen.content_bytes) == (None, "", "", 38)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"type":"error","error":{"message":"x"}}', b"\xff"])
def test_what_is_no_answer_is_unexpected(body: bytes) -> None:
    with pytest.raises(e.UnexpectedResponse):
        DIALECT.read_answer(body)
    with pytest.raises(e.UnexpectedResponse):
        DIALECT.read_seen(body)


# --- writing

PARTS: tuple[Part, ...] = (
    Thinking("hm", "c2ln"),
    Thinking(redacted="c2VhbA=="),
    Thinking("unsigned"),
    Text("Hello"),
    ToolCall("t", "f", '{"x":1}'),
)


def test_an_answer_survives_writing_and_reading() -> None:
    usage = Usage(100, 50, cache_read_tokens=60, cache_write_tokens=30, cache_write_1h_tokens=10, reasoning_tokens=20)
    answer = Answer("msg_1", "claude-x", PARTS, "tool_calls", usage)
    assert DIALECT.read_answer(DIALECT.write_answer(answer, now=0)) == answer


def test_the_vendors_sdk_understands_a_written_answer() -> None:
    usage = Usage(100, 50, cache_read_tokens=60, cache_write_tokens=30, cache_write_1h_tokens=10, reasoning_tokens=20)
    message = answer_in_sdk(DIALECT.write_answer(Answer("a", "m", PARTS, "tool_calls", usage), now=0))
    assert [block.type for block in message.content] == [
        "thinking",
        "redacted_thinking",
        "thinking",
        "text",
        "tool_use",
    ]
    assert (message.stop_reason, message.usage.input_tokens, message.usage.cache_read_input_tokens) == (
        "tool_use",
        10,
        60,
    )
    assert message.usage.cache_creation is not None
    assert message.usage.cache_creation.ephemeral_1h_input_tokens == 10


@pytest.mark.parametrize(
    ("finish", "told"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("refusal", "refusal"),
        ("pause", "pause_turn"),
        ("error", "max_tokens"),
    ],
)
def test_every_finish_has_a_stop_reason_of_the_api(finish: FinishReason, told: str) -> None:
    assert answer_in_sdk(DIALECT.write_answer(Answer("a", "m", (), finish, None), now=0)).stop_reason == told


def test_the_stop_sequence_that_was_hit_is_told() -> None:
    message = answer_in_sdk(DIALECT.write_answer(Answer("a", "m", (), "stop", None, stop_sequence="END"), now=0))
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


def test_a_refusals_words_stand_in_the_stop_details() -> None:
    message = answer_in_sdk(DIALECT.write_answer(Answer("a", "m", (Refusal("No."),), "stop", None), now=0))
    assert (message.content, message.stop_reason) == ([], "refusal")
    assert message.stop_details is not None
    assert message.stop_details.explanation == "No."


# --- errors of providers


def error_body(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (400, "invalid_request_error", "messages.0: bad", e.ProviderRefused),
        (400, "invalid_request_error", "prompt is too long: 3333404 tokens > 200000 maximum", e.ContextOverflow),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", e.ProviderQuota),
        (401, "authentication_error", "invalid x-api-key", e.InvalidCredentials),
        (402, "billing_error", "Payment required", e.ProviderQuota),
        (403, "permission_error", "Not allowed", e.InvalidCredentials),
        (404, "not_found_error", "model: claude-nope", e.ModelNotAvailable),
        (408, "timeout_error", "Timed out", e.ProviderTimeout),
        (413, "request_too_large", "Too large", e.ProviderRefused),
        (422, "invalid_request_error", "Odd", e.ProviderRefused),
        (429, "rate_limit_error", "Slow down", e.ProviderRateLimited),
        (500, "api_error", "Oops", e.ProviderUnavailable),
        (504, "timeout_error", "Timed out", e.ProviderTimeout),
        (529, "overloaded_error", "Overloaded", e.ProviderUnavailable),
        (200, "overloaded_error", "Overloaded", e.ProviderUnavailable),
        (200, "rate_limit_error", "Slow down", e.ProviderRateLimited),
        (200, "something_new", "?", e.UnexpectedResponse),
    ],
)
def test_a_providers_error_is_sorted(status: int, kind: str, message: str, expected: type[e.ProviderError]) -> None:
    error = DIALECT.read_error("Anthropic", status, error_body(kind, message))
    assert type(error) is expected
    assert (error.provider, error.status) == ("Anthropic", status)


def test_a_spend_limit_is_a_quota_by_its_error_code() -> None:
    details = {"error_code": "contract_spend_limit_reached"}
    body = json.dumps({"type": "error", "error": {"type": "permission_error", "message": "Limit.", "details": details}})
    assert isinstance(DIALECT.read_error("Anthropic", 403, body.encode()), e.ProviderQuota)


def test_the_words_of_a_refused_key_are_never_passed_on() -> None:
    error = DIALECT.read_error("Anthropic", 401, error_body("authentication_error", "bad key hunter2hunter2"))
    assert "hunter2" not in error.message


@given(status=st.sampled_from([200, 400, 401, 403, 404, 429, 500, 529]), body=st.binary(max_size=80))
def test_no_error_body_makes_the_reading_fail(status: int, body: bytes) -> None:
    assert isinstance(DIALECT.read_error("Anthropic", status, body), e.ProviderError)


def test_a_page_of_html_is_a_providers_error_too() -> None:
    error = DIALECT.read_error("Anthropic", 503, b"<html><body>Service Unavailable</body></html>")
    assert type(error) is e.ProviderUnavailable
    assert "<" not in error.message


# --- errors for callers


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (e.InvalidRequest("x"), 400, "invalid_request_error"),
        (e.TooLarge("x"), 413, "request_too_large"),
        (e.Unauthenticated("x"), 401, "authentication_error"),
        (e.Forbidden("x"), 403, "permission_error"),
        (e.UnknownModel("x"), 404, "not_found_error"),
        (e.Conflict("x"), 409, "conflict_error"),
        (e.InvalidCredentials("x"), 502, "api_error"),
        (e.ProviderRateLimited("x"), 429, "rate_limit_error"),
        (e.ProviderQuota("x"), 502, "api_error"),
        (e.ContextOverflow("x"), 400, "invalid_request_error"),
        (e.ProviderTimeout("x"), 504, "timeout_error"),
        (e.ProviderUnavailable("x"), 503, "overloaded_error"),
        (e.ShuttingDown("x"), 503, "overloaded_error"),
        (e.Internal("x"), 500, "api_error"),
    ],
)
def test_every_error_has_a_type_of_the_api(error: e.DominionError, status: int, kind: str) -> None:
    raised = error_in_sdk(status, DIALECT.write_error(error, "req_9"))
    assert isinstance(raised.body, dict)
    told = raised.body["error"]
    assert raised.body["request_id"] == "req_9"
    assert (told["type"], told["message"], told["code"], told["action"]) == (kind, "x", error.code, error.action)


@pytest.mark.parametrize(
    ("kind", "told"), [("daily_requests", "rate_limit_error"), ("monthly_spend_cap_usd", "billing_error")]
)
def test_a_limit_tells_its_numbers(kind: str, told: str) -> None:
    error = e.QuotaExceeded(
        "Over.", kind=kind, limit=1000, used=1000, resets_at="2026-01-05T00:00:00Z", retry_after=60, action="Wait."
    )
    assert json.loads(DIALECT.write_error(error, "req_9")) == {
        "type": "error",
        "error": {
            "type": told,
            "message": "Over.",
            "code": "quota_exceeded",
            "action": "Wait.",
            "limit": 1000,
            "used": 1000,
            "resets_at": "2026-01-05T00:00:00Z",
        },
        "request_id": "req_9",
    }


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_answer_raises_anything_but_our_errors(body: bytes) -> None:
    for read in (DIALECT.read_answer, DIALECT.read_seen):
        with contextlib.suppress(e.UnexpectedResponse):
            read(body)
