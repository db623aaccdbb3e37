"""Streams of OpenAI chat completions to events and back."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import (
    Event,
    Failed,
    Finished,
    Metered,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.sse import FrameReader

START = Started("chatcmpl-1", "m")
STORY: list[Event] = [
    START,
    ThinkingDelta(0, "Hm"),
    ThinkingDelta(0, "."),
    ThinkingDelta(0, signature="sig"),
    ThinkingDelta(1, redacted="sealed"),
    TextDelta(2, "Let me "),
    TextDelta(2, "see 🙂."),
    ToolCallDelta(3, "", "c1", "weather"),
    ToolCallDelta(3, '{"city":'),
    ToolCallDelta(4, '{"a":1}', "c2", "now"),
    ToolCallDelta(3, '"Łódź"}'),
    TextDelta(5, "And."),
    Finished("tool_calls"),
    Metered(Usage(9, 5, cache_read_tokens=3, reasoning_tokens=2)),
]


def read(*deltas: dict[str, Any], end: bool = True) -> list[Event]:
    reader = OPENAI_CHAT.reader()
    chunks = [{"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events = [event for chunk in chunks for event in reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")]
    if end:
        events += reader.feed(b"data: [DONE]\n\n") + reader.end()
    return events


def read_raw(body: bytes) -> list[Event]:
    reader = OPENAI_CHAT.reader()
    return reader.feed(body) + reader.end()


def write(events: list[Event], *, asks_usage: bool = True) -> bytes:
    writer = OPENAI_CHAT.writer(now=7, asks_usage=asks_usage)
    return b"".join(writer.write(event) for event in events) + writer.end()


def chunks(body: bytes) -> list[dict[str, Any]]:
    frames = FrameReader().feed(body)
    assert frames[-1].data == b"[DONE]"
    return [json.loads(found.data) for found in frames[:-1]]


def call(index: int | None, **function: Any) -> dict[str, Any]:
    call_id = function.pop("id", None)
    return {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}


# --- reading


def test_a_story_survives_writing_and_reading() -> None:
    assert read_raw(write(STORY)) == STORY


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_story_survives_any_cut_and_any_line_end(end: str) -> None:
    body = write(STORY).replace(b"\n", end.encode())
    for size in (1, 2, 3, 7, 64, 501):
        reader = OPENAI_CHAT.reader()
        events = [event for at in range(0, len(body), size) for event in reader.feed(body[at : at + size])]
        assert events + reader.end() == STORY, size


@pytest.mark.parametrize(
    "deltas",
    [
        [call(0, id="a", name="f", arguments=""), call(0, arguments="{}"), call(1, id="b", name="g", arguments="[]")],
        [
            call(0, id="a", name="f", arguments=""),
            call(0, id="a", name="f", arguments="{}"),
            call(1, id="b", name="g", arguments="[]"),
        ],
        [call(0, id="a", name="f"), call(0, id="", arguments="{}"), call(0, id="b", name="g", arguments="[]")],
        [call(None, id="a", name="f"), call(None, arguments="{}"), call(None, id="b", name="g", arguments="[]")],
    ],
    ids=["openai", "id and name in each chunk", "all at index 0", "no index"],
)
def test_tool_calls_are_told_apart_in_every_style(deltas: list[dict[str, Any]]) -> None:
    starts = [ToolCallDelta(0, "", "a", "f"), ToolCallDelta(0, "{}"), ToolCallDelta(1, "[]", "b", "g")]
    assert read(*deltas) == [START, *starts, Finished("tool_calls")]


def test_a_tool_call_without_an_id_gets_one() -> None:
    assert read(call(0, name="f", arguments="{}"))[1] == ToolCallDelta(0, "{}", "call_0", "f")


def test_the_old_function_style_is_read() -> None:
    events = read({"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}})
    assert events[1:3] == [ToolCallDelta(0, "", "call_0", "f"), ToolCallDelta(0, "{}")]


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm.", "content": None},
        {"reasoning": "Hm.", "content": ""},
        {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}]},
        {"reasoning": "Hm.", "reasoning_details": []},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
    ],
)
def test_reasoning_is_read_in_every_style(delta: dict[str, Any]) -> None:
    assert read(delta, {"content": "So"}) == [START, ThinkingDelta(0, "Hm."), TextDelta(1, "So"), Finished("stop")]


def test_a_refusal_changes_the_finish() -> None:
    assert read({"refusal": "No"}, {"content": [{"type": "refusal", "refusal": "."}]}) == [
        START,
        RefusalDelta(0, "No"),
        RefusalDelta(0, "."),
        Finished("refusal"),
    ]


def test_azure_s_first_chunk_does_not_start_the_answer() -> None:
    first = b'data: {"choices":[],"id":"","model":"","prompt_filter_results":[]}\n\n'
    rest = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}],"id":"1","model":"m"}\n\n'
    assert read_raw(first + rest) == [Started("1", "m"), TextDelta(0, "x"), Finished("stop")]


def test_usage_in_every_chunk_is_told_when_it_changes() -> None:
    chunk = (
        b'data: {"id":"1","model":"m","choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\n'
    )
    assert read_raw(chunk + chunk) == [Started("1", "m"), Finished("stop"), Metered(Usage(1, 0))]


@pytest.mark.parametrize(
    "broken",
    [
        b'event: error\ndata: {"error":{"message":"Over dom_abc_defghijkl","code":502}}\n\n',
        b'data: {"id":"1","choices":[],"error":{"message":"Over dom_abc_defghijkl","type":"502"}}\n\n',
        b'event: error\ndata: {"message":"Over dom_abc_defghijkl","type":"502"}\n\n',
    ],
)
def test_an_error_inside_a_stream_ends_it_without_its_secrets(broken: bytes) -> None:
    said = b'data: {"id":"1","model":"m","choices":[{"delta":{"content":"x"}}]}\n\n'
    events = read_raw(said + broken + said)
    assert events[:2] == [Started("1", "m"), TextDelta(0, "x")]
    assert [event.message for event in events if isinstance(event, Failed)] == ["Over [masked]"]
    assert isinstance(events[-1], Failed)


def test_usage_beside_an_error_is_kept() -> None:
    body = (
        b'data: {"id":"1","choices":[{"delta":{"content":"x"},"finish_reason":"length"}],"usage":{"prompt_tokens":4},'
    )
    events = read_raw(body + b'"error":{"message":"Token limit reached","code":400}}\n\n')
    assert events[1:] == [TextDelta(0, "x"), Metered(Usage(4, 0)), Failed("Token limit reached", "400")]


@pytest.mark.parametrize(
    "body",
    [b"", b": ping\n\n", b'data: {"id":"1","choices":[{"delta":{"content":"x"}}]}\n\n', b"data: {}\n\n"],
)
def test_a_stream_without_its_end_broke_off(body: bytes) -> None:
    with pytest.raises(UnexpectedResponse, match="broke off"):
        read_raw(body)


@pytest.mark.parametrize("body", [b"data: <html>\n\n", b"data: []\n\n", b'data: {"choices":{}}\n\n', b'data: {"id":"1'])
def test_what_is_no_chunk_is_unexpected(body: bytes) -> None:
    with pytest.raises(UnexpectedResponse):
        read_raw(body)


def test_a_stream_may_end_after_its_finish_without_done() -> None:
    body = b'data: {"id":"1","model":"m","choices":[{"delta":{"content":"x"},"finish_reason":"length"}]}'
    assert read_raw(body) == [Started("1", "m"), TextDelta(0, "x"), Finished("length")]


# --- writing


def test_the_sdk_s_own_classes_take_every_written_chunk() -> None:
    parsed = [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in chunks(write(STORY))]
    assert {(chunk.id, chunk.model, chunk.created) for chunk in parsed} == {("chatcmpl-1", "m", 7)}
    assert parsed[0].choices[0].delta.role == "assistant"
    assert [chunk.usage is not None for chunk in parsed] == [False] * (len(parsed) - 1) + [True]
    assert parsed[-1].choices == []
    assert parsed[-2].choices[0].finish_reason == "tool_calls"
    calls = [call for chunk in parsed[:-1] for call in chunk.choices[0].delta.tool_calls or ()]
    assert [(call.index, call.id) for call in calls] == [(0, "c1"), (0, None), (1, "c2"), (0, None)]


def test_usage_is_written_only_to_those_who_ask() -> None:
    assert b"usage" not in write(STORY, asks_usage=False)
    assert all("usage" in chunk for chunk in chunks(write(STORY)))
    assert chunks(write(STORY[:-1]))[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_tool_call_without_arguments_ends_with_an_empty_object() -> None:
    body = write([START, ToolCallDelta(0, "", "c", "now"), Finished("tool_calls")])
    assert [event.arguments for event in read_raw(body) if isinstance(event, ToolCallDelta)] == ["", "{}"]


def test_reasoning_is_written_for_those_who_show_it_and_those_who_return_it() -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(write(STORY, asks_usage=False))]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm."
    details = [detail for delta in deltas for detail in delta.get("reasoning_details", ())]
    assert details == [
        {"type": "reasoning.text", "index": 0, "text": "Hm"},
        {"type": "reasoning.text", "index": 0, "text": "."},
        {"type": "reasoning.text", "index": 0, "signature": "sig"},
        {"type": "reasoning.encrypted", "index": 1, "data": "sealed"},
    ]


@pytest.mark.parametrize(
    ("events", "word"),
    [
        ([Finished("refusal")], "content_filter"),
        ([RefusalDelta(0, "No."), Finished("refusal")], "stop"),
        ([Finished("pause")], "stop"),
        ([Finished("length")], "length"),
    ],
)
def test_finish_reasons_are_written_as_openai_writes_them(events: list[Event], word: str) -> None:
    assert chunks(write([START, *events]))[-1]["choices"][0]["finish_reason"] == word


def test_a_failure_is_written_as_an_error_chunk_and_read_back() -> None:
    body = write([START, TextDelta(0, "x"), Failed("Overloaded", "overloaded_error")])
    assert chunks(body)[-1]["error"] == {
        "message": "Overloaded",
        "type": "server_error",
        "param": None,
        "code": "overloaded_error",
    }
    assert read_raw(body) == [START, TextDelta(0, "x"), Failed("Overloaded", "overloaded_error")]
