"""Ollama's chat API as an answer: what is read of it, whole, streamed and as errors."""

import json
from typing import Any

import pytest

from dominion.domain import errors as e
from dominion.domain.messages import (
    Answer,
    Event,
    Failed,
    Finished,
    Metered,
    RefusalDelta,
    Request,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.fields import read_fields
from dominion.wire.ollama.dialect import OLLAMA_CHAT as DIALECT
from dominion.wire.sse import FRAME_LIMIT
from tests.wire.recordings import needs_recordings, pieces, recordings

WEATHER = {"function": {"name": "weather", "arguments": {"city": "Rome"}}}


def read(body: dict[str, Any]) -> Request:
    fields = {"model": "llama3", "messages": [{"role": "user", "content": "Hello"}]} | body
    return DIALECT.read_request(read_fields(json.dumps(fields).encode()))


def line(done: bool = False, **fields: Any) -> bytes:  # noqa: FBT001, FBT002 - reads as the API does
    return (
        json.dumps({"model": "llama3", "created_at": "2026-11-21T00:00:00Z", "done": done, **fields}).encode() + b"\n"
    )


def events(*chunks: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


# --- answers and streams

CALLS = (
    line(message={"role": "assistant", "content": "", "thinking": "h"}),
    line(message={"role": "assistant", "content": "", "thinking": "m"}),
    line(message={"role": "assistant", "content": "Hé"}),
    line(message={"role": "assistant", "content": "", "tool_calls": [WEATHER, {"id": "x", **WEATHER}]}),
    line(message={"role": "assistant", "content": "", "tool_calls": [WEATHER]}),
    line(True, message={"role": "assistant", "content": ""}, done_reason="stop", prompt_eval_count=5, eval_count=9),
)


def test_a_stream_of_thoughts_text_and_calls_reads_the_same_however_it_is_cut() -> None:
    stream = b"".join(CALLS)
    told = events(stream)
    ids = [event.id for event in told if isinstance(event, ToolCallDelta)]
    assert ids[1] == "x"
    assert len(set(ids)) == 3
    assert told == [
        Started("", "llama3"),
        ThinkingDelta(0, "h"),
        ThinkingDelta(0, "m"),
        TextDelta(1, "Hé"),
        *(ToolCallDelta(2 + place, '{"city":"Rome"}', ids[place], "weather") for place in range(3)),
        Finished("tool_calls"),
        Metered(Usage(5, 9)),
    ]
    assert events(*pieces(stream, list(range(1, len(stream))))) == told
    assert events(stream.replace(b"\n", b"\r\n")) == told
    assert events(stream.rstrip()) == told


def test_an_answer_of_calls_has_ids_that_no_other_answer_has() -> None:
    whole = {
        "model": "llama3",
        "done": True,
        "done_reason": "stop",
        "message": {"role": "a", "tool_calls": [WEATHER] * 2},
    }
    first, second = (
        DIALECT.read_answer(json.dumps(whole | {"created_at": f"2026-11-21T00:00:0{second}Z"}).encode())
        for second in "12"
    )
    ids = {part.id for answer in (first, second) for part in answer.parts if isinstance(part, ToolCall)}
    assert (len(ids), first.finish) == (4, "tool_calls")


@pytest.mark.parametrize(
    ("fields", "usage"),
    [
        ({"prompt_eval_count": 5, "eval_count": 9}, Usage(5, 9)),
        ({"eval_count": 9}, Usage(0, 9)),  # the prompt was in the server's cache
        ({"prompt_eval_count": 5}, Usage(5, 0)),
        ({"prompt_eval_count": -1, "eval_count": "9"}, None),
        ({}, None),
    ],
)
def test_counts_that_are_zero_are_left_out_by_the_server(fields: dict[str, Any], usage: Usage | None) -> None:
    body = line(True, message={"role": "assistant", "content": "x"}, done_reason="length", **fields)
    answer = DIALECT.read_answer(body)
    assert (answer.usage, answer.finish) == (usage, "length")
    seen = DIALECT.read_seen(body)
    assert (seen.usage, seen.finish, seen.model) == (usage, "length", "llama3")
    assert (seen.content_bytes > 0) == (usage is None)


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        ("model runner has stopped", Failed("model runner has stopped")),
        ({"message": "Unauthorized, key sk-abcdefgh12345678"}, Failed("Unauthorized, key [masked]")),
        ({"message": "", "type": "api_error"}, Failed("error", "api_error")),
    ],
)
def test_an_error_in_a_stream_is_its_end(error: object, failed: Failed) -> None:
    stream = CALLS[2] + json.dumps({"error": error}).encode() + b"\n" + CALLS[2]
    assert events(stream)[1:] == [TextDelta(0, "Hé"), failed]
    tap = DIALECT.tap(hide_usage=False)
    assert tap.feed(stream) + tap.end() == stream
    assert tap.seen.failed == failed.message
    with pytest.raises(e.UnexpectedResponse, match="holds no message"):
        DIALECT.read_answer(json.dumps({"error": error}).encode())
    assert DIALECT.read_seen(json.dumps({"error": error}).encode()).failed == failed.message


@pytest.mark.parametrize("stream", [b"", CALLS[0], b"".join(CALLS[:-1]), b"\n\n"])
def test_a_stream_without_its_last_line_is_broken_off(stream: bytes) -> None:
    with pytest.raises(e.UnexpectedResponse, match="broke off"):
        events(stream)


@pytest.mark.parametrize("stream", [b"<html>\n", b"[]\n", b'{"message": 5}\n', b"x" * (FRAME_LIMIT + 1)])
def test_what_is_no_stream_is_unexpected(stream: bytes) -> None:
    with pytest.raises(e.UnexpectedResponse):
        DIALECT.reader().feed(stream)


def test_events_are_written_as_lines_and_calls_whole() -> None:
    told: list[Event] = [
        Started("1", "gpt"),
        ThinkingDelta(0, "hm"),
        ThinkingDelta(0, signature="s"),
        TextDelta(1, "Hé"),
        RefusalDelta(2, "No."),
        ToolCallDelta(3, "", "a", "f"),
        ToolCallDelta(3, '{"x":'),
        ToolCallDelta(3, "1}"),
        Finished("length"),
        Metered(Usage(5, 9)),
    ]
    writer = DIALECT.writer(now=1_700_000_000, asks_usage=True)
    stream = b"".join(map(writer.write, told)) + writer.end()
    assert all(json.loads(each)["created_at"] == "2023-11-14T22:13:20Z" for each in stream.splitlines())
    assert events(stream) == [
        Started("", "gpt"),
        ThinkingDelta(0, "hm"),
        TextDelta(1, "Hé"),
        TextDelta(1, "No."),
        ToolCallDelta(2, '{"x":1}', "a", "f"),
        Finished("length"),
        Metered(Usage(5, 9)),
    ]


def test_a_failure_is_the_last_line() -> None:
    writer = DIALECT.writer(now=0, asks_usage=True)
    assert json.loads(writer.write(Failed("gone sk-abcdefgh12345678", "x"))) == {"error": "gone [masked]"}
    assert writer.end() == b""
    assert json.loads(DIALECT.write_stream_error(e.ProviderRateLimited("Slow down."), "r"))["error"] == "Slow down."


def test_a_whole_answer_survives_writing_and_reading() -> None:
    parts = (Thinking("hm"), Text("Hé"), ToolCall("a", "f", '{"x":1}'))
    answer = Answer("", "m", parts, "tool_calls", Usage(5, 9))
    assert DIALECT.read_answer(DIALECT.write_answer(answer, now=7)) == answer


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b'{"error": "model \'x\' not found"}', e.ModelNotAvailable),
        (400, b'{"error": "registry.ollama.ai/library/x does not support tools"}', e.ProviderRefused),
        (400, b'{"error": "prompt too long; exceeded max context length by 5 tokens"}', e.ContextOverflow),
        (401, b'{"error": {"message": "Unauthorized"}}', e.InvalidCredentials),
        (429, b'{"error": "too many concurrent requests"}', e.ProviderRateLimited),
        (500, b'{"error": "model requires more system memory"}', e.ProviderUnavailable),
        (503, b'{"error": "server busy, please try again"}', e.ProviderUnavailable),
        (404, b"404 page not found", e.UnexpectedResponse),
    ],
)
def test_errors_are_sorted(status: int, body: bytes, kind: type[e.ProviderError]) -> None:
    error = DIALECT.read_error("Ollama", status, body)
    assert (type(error), error.status, error.verbatim) == (kind, status, b"")


# --- recordings


@needs_recordings
def test_every_recorded_request_is_read_and_written_again() -> None:
    for recording in recordings("/api/chat", provider="ollama"):
        request = DIALECT.read_request(read_fields(json.dumps(recording.request).encode()))
        written = DIALECT.write_request(request, model=request.model, output_cap=None)
        once = DIALECT.read_request(read_fields(written.body))
        assert DIALECT.write_request(once, model=once.model, output_cap=None).body == written.body, recording.id
        assert (request.unread, written.lost) == ((), ()), recording.id
