"""Bedrock's Converse API as an answer: what is read of it, whole, streamed and as errors."""

import json
from typing import Any

import pytest

from dominion.domain import errors as e
from dominion.domain.messages import (
    Event,
    Failed,
    Finished,
    Metered,
    Request,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE as DIALECT
from dominion.wire.bedrock.eventstream import encode
from dominion.wire.fields import read_fields

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def read(body: dict[str, Any]) -> Request:
    fields = {"model": CLAUDE, "messages": [{"role": "user", "content": [{"text": "Hello"}]}]} | body
    return DIALECT.read_request(read_fields(json.dumps(fields).encode()))


def event(name: str, **fields: Any) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.dumps(fields).encode())


def events(stream: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return reader.feed(stream) + reader.end()


# --- answers


def test_cached_tokens_stand_beside_the_input_and_are_added() -> None:
    told = {"inputTokens": 5, "outputTokens": 3, "cacheReadInputTokenCount": 70, "cacheWriteInputTokens": 20}
    details = [{"ttl": "1h", "inputTokens": 15}, {"ttl": "5m", "inputTokens": 5}, "odd"]
    body = {"output": {"message": {"content": []}}, "stopReason": "end_turn", "usage": told | {"cacheDetails": details}}
    assert DIALECT.read_answer(json.dumps(body).encode()).usage == Usage(95, 3, 70, 20, 15)
    assert DIALECT.read_seen(json.dumps(body).encode()).usage == Usage(95, 3, 70, 20, 15)


@pytest.mark.parametrize("usage", [None, {}, {"inputTokens": 5}, {"inputTokens": -1, "outputTokens": True}, "many"])
def test_usage_that_is_none_is_not_taken_for_one(usage: Any) -> None:
    body = json.dumps({"output": {"message": {"content": []}}, "usage": usage}).encode()
    assert DIALECT.read_answer(body).usage is None
    assert DIALECT.read_seen(body).content_bytes == len(body)


@pytest.mark.parametrize(
    ("told", "finish"),
    [
        ("end_turn", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_model_output", "error"),
        ("malformed_tool_use", "error"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "stop"),
    ],
)
def test_every_stop_reason_has_its_meaning_whole_and_streamed(told: str, finish: str) -> None:
    body = {"output": {"message": {"content": []}}, "stopReason": told}
    assert DIALECT.read_answer(json.dumps(body).encode()).finish == finish
    assert events(event("messageStop", stopReason=told)) == [Finished(finish)]


@pytest.mark.parametrize("fields", [{"stop_sequence": "END"}, {"delta": {"stop_sequence": "END"}}])
def test_the_stop_sequence_is_read_where_claude_has_it(fields: dict[str, Any]) -> None:
    told = {"stopReason": "stop_sequence", "additionalModelResponseFields": fields}
    usage = {"inputTokens": 1, "outputTokens": 2}
    body = {"output": {"message": {"content": [{"text": "x"}]}}, "usage": usage} | told
    answer = DIALECT.read_answer(json.dumps(body).encode())
    assert answer.stop_sequence == "END"
    assert DIALECT.read_answer(DIALECT.write_answer(answer, now=0)) == answer
    assert events(event("messageStop", **told)) == [Finished("stop", "END")]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"output": {}}', b'{"message": "no"}', b"<html>"])
def test_what_is_no_answer_is_unexpected(body: bytes) -> None:
    with pytest.raises(e.UnexpectedResponse):
        DIALECT.read_answer(body)


# --- streams


def test_a_stream_has_parts_by_block_and_a_call_without_input_has_an_empty_object() -> None:
    stream = (
        event("messageStart", role="assistant"),
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "hm"}}, p="abc"),
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"signature": "s"}}),
        event("contentBlockDelta", contentBlockIndex=1, delta={"text": ""}),
        event("contentBlockDelta", contentBlockIndex=1, delta={"text": "Hi"}),
        event("contentBlockStop", contentBlockIndex=1),
        event("contentBlockStart", contentBlockIndex=2, start={"toolUse": {"toolUseId": "a", "name": "f"}}),
        event("contentBlockStop", contentBlockIndex=2),
        event("newKindOfEvent", x=1),
        event("messageStop", stopReason="tool_use"),
        event("metadata", usage={"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}),
    )
    assert events(b"".join(stream))[1:] == [
        ThinkingDelta(0, "hm"),
        ThinkingDelta(0, signature="s"),
        TextDelta(1, "Hi"),
        ToolCallDelta(2, "", "a", "f"),
        ToolCallDelta(2, "{}"),
        Finished("tool_calls"),
        Metered(Usage(1, 2)),
    ]


def test_tools_that_the_provider_runs_have_no_place_in_a_stream() -> None:
    stream = (
        event(
            "contentBlockStart",
            contentBlockIndex=0,
            start={"toolUse": {"toolUseId": "a", "name": "f", "type": "server_tool_use"}},
        ),
        event("contentBlockDelta", contentBlockIndex=0, delta={"toolUse": {"input": "{}"}}),
        event("contentBlockStop", contentBlockIndex=0),
        event("contentBlockStart", contentBlockIndex=1, start={"toolResult": {"toolUseId": "a", "type": "x"}}),
        event("contentBlockDelta", contentBlockIndex=1, delta={"toolResult": [{"json": {}}]}),
        event("contentBlockDelta", contentBlockIndex=2, delta={"citation": {"title": "t"}}),
        event("messageStop", stopReason="end_turn"),
    )
    assert events(b"".join(stream)) == [Finished("stop")]


@pytest.mark.parametrize(
    ("headers", "payload", "failed"),
    [
        (
            {":message-type": "exception", ":exception-type": "throttlingException"},
            b'{"message": "Too many tokens, key sk-abcdefgh12345678"}',
            Failed("Too many tokens, key [masked]", "throttlingException"),
        ),
        (
            {":message-type": "exception", ":exception-type": "modelStreamErrorException"},
            b'{"message": "x", "originalStatusCode": 500}',
            Failed("x", "modelStreamErrorException"),
        ),
        (
            {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Oops"},
            b"",
            Failed("Oops", "InternalFailure"),
        ),
        ({":message-type": "exception"}, b"not json", Failed("not json", "error")),
    ],
)
def test_an_exception_ends_a_stream_with_its_own_words(headers: dict[str, str], payload: bytes, failed: Failed) -> None:
    stream = event("messageStart", role="assistant") + encode(headers, payload)
    assert events(stream)[1:] == [failed]
    tap = DIALECT.tap(hide_usage=False)
    assert tap.feed(stream) == stream
    assert tap.seen.failed == failed.message


@pytest.mark.parametrize("stream", [b"", event("messageStart", role="assistant"), event("messageStop")[:-1]])
def test_a_stream_without_its_end_is_broken_off(stream: bytes) -> None:
    with pytest.raises(e.UnexpectedResponse, match="broke off"):
        events(stream)


def test_a_payload_that_is_not_json_is_unexpected() -> None:
    with pytest.raises(e.UnexpectedResponse):
        events(encode({":message-type": "event", ":event-type": "messageStop"}, b"{"))


# --- errors


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"message": "The provided model identifier is invalid."}, e.ModelNotAvailable),
        (400, {"message": "Invocation of model ID x with on-demand throughput isn't supported."}, e.ModelNotAvailable),
        (400, {"message": "Input is too long for requested model."}, e.ContextOverflow),
        (400, {"message": "The model returned errors: Input Tokens Exceeded: ..."}, e.ContextOverflow),
        (400, {"message": "prompt is too long: 9 tokens > 8 maximum"}, e.ContextOverflow),
        (400, {"message": "Your request exceeds the service quota for your account."}, e.ProviderQuota),
        (400, {"__type": "x#UnrecognizedClientException", "message": "No."}, e.InvalidCredentials),
        (400, {"message": "Malformed input request"}, e.ProviderRefused),
        (403, {"message": "The security token included in the request is expired"}, e.InvalidCredentials),
        (403, {"Message": "Authentication failed: bad bearer"}, e.InvalidCredentials),
        (403, {"message": "You don't have access to the model with the specified model ID."}, e.ModelNotAvailable),
        (404, {"message": "Could not resolve the foundation model from the identifier"}, e.ModelNotAvailable),
        (404, {"__type": "ResourceNotFoundException"}, e.ModelNotAvailable),
        (404, {"message": "no such page"}, e.UnexpectedResponse),
        (408, {"message": "Model timed out"}, e.ProviderTimeout),
        (424, {"message": "The model returned an error"}, e.ProviderUnavailable),
        (424, {"message": "Input is too long for requested model."}, e.ContextOverflow),
        (429, {"message": "Too many requests, please wait before trying again."}, e.ProviderRateLimited),
        (429, {"message": "The model is not ready to serve inference requests"}, e.ProviderUnavailable),
        (500, {"message": "x"}, e.ProviderUnavailable),
        (503, {"message": "Bedrock is unable to process your request."}, e.ProviderUnavailable),
    ],
)
def test_errors_are_sorted_by_status_and_words(status: int, body: dict[str, str], kind: type[e.ProviderError]) -> None:
    error = DIALECT.read_error("Amazon Bedrock", status, json.dumps(body).encode())
    assert (type(error), error.status, error.verbatim) == (kind, status, b"")


@pytest.mark.parametrize(
    "body", [b"", b"<html>sk-abcdefgh12345678</html>", b"\xff\xfe", b'{"message": {"a": 1}}', b"[1]"]
)
def test_any_body_of_an_error_is_read(body: bytes) -> None:
    for status in (400, 403, 404, 418, 429, 500):
        error = DIALECT.read_error("Amazon Bedrock", status, body)
        assert "sk-" not in error.message
