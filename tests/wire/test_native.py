"""This gateway's own API: requests, answers, streams and errors."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain import errors as e
from dominion.domain.contracts import Seen
from dominion.domain.messages import (
    Answer,
    Event,
    Failed,
    Finished,
    Image,
    Message,
    Metered,
    OutputFormat,
    Reasoning,
    Refusal,
    RefusalDelta,
    Request,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
)
from dominion.domain.usage import Usage
from dominion.wire.fields import read_fields
from dominion.wire.native.dialect import NATIVE
from tests.wire.recordings import pieces

HELLO = [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": "Hello!"}]
USAGE = Usage(150, 500, cache_read_tokens=40, cache_write_tokens=30, cache_write_1h_tokens=10, reasoning_tokens=20)
PARTS = (
    Thinking("hm", "c2ln"),
    Thinking(redacted="c2VhbA=="),
    Text("Hello"),
    Image(media_type="image/png", data="aGk="),
    Refusal("No."),
    ToolCall("t", "f", '{"x":1}'),
)


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def door(**fields: Any) -> Request:
    return NATIVE.read_request(read_fields(body(**fields)))


# --- requests


@pytest.mark.promise("000-047", "001-037", "001-038", "001-039", "001-040", "001-041")
@pytest.mark.parametrize("provider", ["openai", "anthropic", "auto"])
def test_the_documented_request_is_read(provider: str) -> None:
    fields = read_fields(body(provider=provider, model="gpt-4o-mini", messages=HELLO, temperature=0.2, max_tokens=1024))
    peek = NATIVE.peek(fields)
    assert (peek.provider, peek.model, peek.output_cap, peek.stream, peek.asks_usage) == (
        *(provider, "gpt-4o-mini", 1024, False, True),
    )
    request = NATIVE.read_request(fields)
    assert request.messages == (
        Message("system", (Text("You are helpful."),)),
        Message("user", (Text("Hello!"),)),
    )
    assert (request.model, request.temperature, request.max_output) == ("gpt-4o-mini", 0.2, 1024)


@pytest.mark.parametrize("fields", [{}, {"model": None, "provider": None}, {"model": "auto", "provider": "auto"}])
def test_a_request_may_leave_model_and_provider_to_the_gateway(fields: dict[str, Any]) -> None:
    peek = NATIVE.peek(read_fields(body(messages=HELLO, **fields)))
    assert (peek.model, peek.provider, peek.output_cap) == ("auto", "auto", None)


def test_a_prompt_is_a_message_of_the_user() -> None:
    assert door(prompt="Write a story.").messages == (Message("user", (Text("Write a story."),)),)


def test_the_cap_may_be_written_as_the_client_writes_it() -> None:
    assert NATIVE.peek(read_fields(body(prompt="x", maxTokens=7))).output_cap == 7
    assert door(prompt="x", maxTokens=7).max_output == 7


def test_the_other_fields_are_those_of_openai() -> None:
    request = door(
        messages=[
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]},
            {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "22"},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        reasoning_effort="low",
        stop="END",
        top_p=0.5,
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        user="u",
        stream=True,
    )
    assert request.messages[0].parts == (Image(url="https://x.test/a.png"),)
    assert request.messages[2] == Message("tool", (ToolResult("a", (Text("22"),)),))
    assert [tool.name for tool in request.tools] == ["f"]
    assert request.tool_choice == ToolChoice("tool", "f", parallel=False)
    assert (request.output_format, request.reasoning) == (OutputFormat("json_object"), Reasoning(effort="low"))
    assert (request.stop, request.top_p, request.seed, request.user, request.stream) == (("END",), 0.5, 7, "u", True)
    assert request.unread == ()


def test_the_reasoning_of_an_answer_goes_back_as_it_came() -> None:
    answer = json.loads(NATIVE.write_answer(Answer("a", "m", PARTS[:3], "stop", None), now=0))
    turn = {"role": "assistant", "content": answer["content"], "reasoning": answer["reasoning"]}
    assert door(messages=[*HELLO, turn, HELLO[1]]).messages[2].parts == PARTS[:3]


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"messages": HELLO, "max_token": 7}, "max_token", "'max_tokens'"),
        ({"messages": HELLO, "Stream": True}, "Stream", "'stream'"),
        ({"messages": HELLO, "zzz": 1}, "zzz", "nearest"),
        ({"messages": HELLO, "prompt": "x"}, "prompt", "not both"),
        ({"prompt": ""}, "messages", "at least one"),
        ({"messages": []}, "messages", "at least one"),
        ({}, "messages", "at least one"),
        ({"prompt": 7}, "prompt", "str"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens", "1"),
        ({"prompt": "x", "max_tokens": 5, "maxTokens": 5}, "maxTokens", "one of them"),
        ({"prompt": "x", "provider": 7}, "provider", "str"),
        ({"prompt": "x", "provider": "a\r\nb"}, "provider", "name"),
        ({"prompt": "x", "model": "m" * 257}, "model", "256"),
        ({"prompt": "x", "stream": "yes"}, "stream", "bool"),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_name(fields: dict[str, Any], param: str, said: str) -> None:
    with pytest.raises(e.InvalidRequest) as caught:
        NATIVE.peek(read_fields(body(**fields)))
    assert caught.value.param == param
    assert said in caught.value.message


def test_a_patch_for_another_gateway_leaves_our_provider_out() -> None:
    fields = read_fields(b'{"provider":"openai","model":"a","prompt":"x",  "maxTokens":9,"max_tokens":null}')
    patched = NATIVE.patch(fields, NATIVE.peek(fields), model="b", output_cap=5)
    assert patched == b'{"model":"b","prompt":"x","max_tokens":5}'


def test_a_request_survives_writing_and_reading() -> None:
    request = door(
        model="m",
        messages=[*HELLO, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Bye."}],
        max_tokens=9,
        temperature=0.5,
        stream=True,
        reasoning_effort="high",
    )
    written = NATIVE.write_request(request, model="m", output_cap=None)
    assert (NATIVE.read_request(read_fields(written.body)), written.lost) == (request, ())


# --- answers


@pytest.mark.promise("000-079", "000-080")
def test_the_answer_has_content_and_the_documented_counts() -> None:
    answer = Answer("a", "m", (Text("Hel"), Text("lo")), "stop", Usage(150, 500, cache_read_tokens=40))
    assert json.loads(NATIVE.write_answer(answer, now=0)) == {
        "id": "a",
        "model": "m",
        "content": "Hello",
        "finish_reason": "stop",
        "usage": {
            "promptTokens": 150,
            "completionTokens": 500,
            "totalTokens": 650,
            "cachedTokens": 40,
            "reasoningTokens": 0,
            "cacheWriteTokens": 0,
            "longCacheWriteTokens": 0,
        },
    }


def test_calls_and_reasoning_are_told_when_there_are_any() -> None:
    told = json.loads(NATIVE.write_answer(Answer("a", "m", PARTS, "tool_calls", None), now=0))
    assert told["tool_calls"] == [{"id": "t", "function": {"name": "f", "arguments": '{"x":1}'}, "type": "function"}]
    assert told["reasoning"] == [{"text": "hm", "signature": "c2ln"}, {"redacted": "c2VhbA=="}]
    assert told["refusal"] == "No."
    assert "usage" not in told


def test_an_answer_survives_writing_and_reading() -> None:
    answer = Answer("a", "m", PARTS, "stop", USAGE, stop_sequence="END")
    assert NATIVE.read_answer(NATIVE.write_answer(answer, now=0)) == answer


def test_a_relayed_answer_tells_usage_finish_and_model() -> None:
    seen = NATIVE.read_seen(NATIVE.write_answer(Answer("a", "m", PARTS, "length", USAGE), now=0))
    assert (seen.usage, seen.finish, seen.model, seen.done) == (USAGE, "length", "m", True)


@pytest.mark.parametrize("junk", [b"", b"<html>", b"[]", b'{"content":7}', b'{"id":"a"}'])
def test_what_is_no_answer_is_unexpected(junk: bytes) -> None:
    with pytest.raises(e.UnexpectedResponse):
        NATIVE.read_answer(junk)


# --- streams

EVENTS: list[Event] = [
    ThinkingDelta(0, "hm"),
    ThinkingDelta(0, signature="c2ln"),
    ThinkingDelta(1, redacted="c2VhbA=="),
    TextDelta(2, "Hé"),
    TextDelta(2, "llo"),
    RefusalDelta(3, "No."),
    ToolCallDelta(4, "", "a", "f"),
    ToolCallDelta(4, '{"x":1}'),
    ToolCallDelta(5, "{}", "b", "g"),
    Started("a", "m"),
    Finished("stop", "END"),
    Metered(USAGE),
]


def written(*told: Event) -> bytes:
    writer = NATIVE.writer(now=0, asks_usage=True)
    return b"".join(map(writer.write, told)) + writer.end()


def events(*chunks: bytes) -> list[Event]:
    reader = NATIVE.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def watched(*chunks: bytes) -> tuple[bytes, Seen]:
    tap = NATIVE.tap(hide_usage=True)
    return b"".join(map(tap.feed, chunks)) + tap.end(), tap.seen


STREAM = written(*EVENTS)


def test_a_stream_tells_its_frames_by_type_and_ends_with_done() -> None:
    told = [line.removeprefix("data: ") for line in STREAM.decode().splitlines() if line]
    frames = [json.loads(line) for line in told[:-1]]
    assert told[-1] == "[DONE]"
    assert [frame["type"] for frame in frames] == [
        *(
            "reasoning",
            "reasoning",
            "reasoning",
            "text",
            "text",
            "refusal",
            "tool_call",
            "tool_call",
            "tool_call",
            "done",
        ),
    ]
    assert frames[3] == {"type": "text", "text": "Hé"}
    assert frames[6] == {"type": "tool_call", "index": 0, "arguments": "", "id": "a", "name": "f"}
    assert frames[-1]["usage"]["totalTokens"] == 650
    assert (frames[-1]["id"], frames[-1]["model"], frames[-1]["finish_reason"]) == ("a", "m", "stop")


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_survives_reading_however_it_is_cut(cuts: list[int]) -> None:
    assert events(*pieces(STREAM, cuts)) == EVENTS
    relayed, seen = watched(*pieces(STREAM, cuts))
    assert relayed == STREAM
    assert (seen.usage, seen.finish, seen.model, seen.done, seen.frames) == (USAGE, "stop", "m", True, 7)


def test_a_providers_failure_is_the_last_frame_and_holds_no_credential() -> None:
    out = written(TextDelta(0, "Hi"), Failed("key sk-ant-api03-abcdefgh is overloaded", "overloaded_error"))
    assert b"abcdefgh" not in out
    assert b'"done"' not in out
    assert isinstance(events(out)[-1], Failed)
    assert watched(out)[1].failed.endswith("is overloaded")


def test_a_stream_that_breaks_off_is_unexpected() -> None:
    with pytest.raises(e.UnexpectedResponse):
        events(STREAM[: STREAM.index(b'"done"')])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([STREAM, b"data: ", b"\n\n", b'data: {"type":"done"}\n\n'])))
def test_no_bytes_raise_anything_but_our_errors(chunks: list[bytes]) -> None:
    for read in (lambda: events(*chunks), lambda: NATIVE.read_answer(b"".join(chunks))):
        with contextlib.suppress(e.UnexpectedResponse):
            read()
    assert watched(*chunks)[0] == b"".join(chunks)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["messages", "prompt", "tools", "stop", "maxTokens", "reasoning_effort", "odd"]),
        st.recursive(st.none() | st.integers(-5, 5) | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3)),
    )
)
def test_no_request_raises_anything_but_our_errors(fields: dict[str, Any]) -> None:
    with contextlib.suppress(e.InvalidRequest):
        door(**fields)


# --- errors


@pytest.mark.promise("000-052", "000-053", "000-054", "000-055", "000-056")
def test_a_quota_is_refused_in_the_documented_words() -> None:
    error = e.QuotaExceeded(
        "Daily request limit exceeded",
        kind="daily_requests",
        limit=1000,
        used=1000,
        resets_at="2026-01-05T00:00:00Z",
        retry_after=60,
    )
    told = json.loads(NATIVE.write_error(error, "req_9"))
    assert (
        told.items()
        >= {
            "error": "quota_exceeded",
            "message": "Daily request limit exceeded",
            "limit": 1000,
            "used": 1000,
            "resets_at": "2026-01-05T00:00:00Z",
        }.items()
    )
    assert (told["action"], told["request_id"], told["kind"]) == (error.action, "req_9", "daily_requests")


def test_another_error_has_no_limits_but_names_the_field() -> None:
    assert json.loads(NATIVE.write_error(e.InvalidRequest("Odd.", param="stop"), "req_9")) == {
        "error": "invalid_request",
        "message": "Odd.",
        "param": "stop",
        "action": "Correct the request and send it again.",
        "request_id": "req_9",
    }


def test_an_error_inside_a_stream_is_typed_and_ends_it() -> None:
    out = NATIVE.write_stream_error(e.ProviderTimeout("Too slow."), "req_9")
    assert out.endswith(b"\n\ndata: [DONE]\n\n")
    assert events(out) == [Failed("Too slow.", "provider_timeout")]


@pytest.mark.parametrize(("status", "expected"), [(429, e.ProviderRateLimited), (500, e.ProviderUnavailable)])
def test_another_gateways_error_is_sorted(status: int, expected: type[e.ProviderError]) -> None:
    told = NATIVE.write_error(e.ProviderUnavailable("Down."), "req_9")
    assert type(NATIVE.read_error("Other", status, told)) is expected
