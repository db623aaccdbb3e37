"""Streams of the Anthropic Messages API: read, written and watched."""

import contextlib
import json
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dominion.domain.contracts import Seen
from dominion.domain.errors import ProviderUnavailable, UnexpectedResponse
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
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES as DIALECT
from tests.wire.anthropic_oracle import stream_in_sdk
from tests.wire.recordings import pieces


def frame(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


def start(**usage: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    return frame("message_start", message=message | {"usage": {"input_tokens": 10, "output_tokens": 1} | usage})


def block(index: int, **content: Any) -> bytes:
    return frame("content_block_start", index=index, content_block=content)


def delta(index: int, kind: str, **content: Any) -> bytes:
    return frame("content_block_delta", index=index, delta={"type": f"{kind}_delta"} | content)


def stop(index: int) -> bytes:
    return frame("content_block_stop", index=index)


def end(reason: str = "end_turn", output: int = 5, **fields: Any) -> bytes:
    told = {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": output}} | fields
    return frame("message_delta", **told) + frame("message_stop")


STREAM = (
    start(cache_read_input_tokens=7)
    + block(0, type="thinking", thinking="", signature="")
    + frame("ping")
    + delta(0, "thinking", thinking="hm")
    + delta(0, "signature", signature="c2ln")
    + stop(0)
    + block(1, type="redacted_thinking", data="c2VhbA==")
    + stop(1)
    + block(2, type="server_tool_use", id="s", name="web_search", input={})
    + delta(2, "input_json", partial_json='{"query": "x"}')
    + stop(2)
    + block(3, type="text", text="")
    + delta(3, "text", text="Héllo ")
    + delta(3, "citations", citation={"type": "web_search_result_location"})
    + delta(3, "text", text="😀")
    + stop(3)
    + block(4, type="tool_use", id="a", name="f", input={})
    + delta(4, "input_json", partial_json="")
    + delta(4, "input_json", partial_json='{"x": ')
    + delta(4, "input_json", partial_json="1}")
    + stop(4)
    + block(5, type="tool_use", id="b", name="g", input={})
    + stop(5)
    + end("tool_use", 50)
)
EVENTS: list[Event] = [
    Started("msg_1", "claude-x"),
    Metered(Usage(17, 1, cache_read_tokens=7)),
    ThinkingDelta(0, "hm"),
    ThinkingDelta(0, signature="c2ln"),
    ThinkingDelta(1, redacted="c2VhbA=="),
    TextDelta(2, "Héllo "),
    TextDelta(2, "😀"),
    ToolCallDelta(3, "", "a", "f"),
    ToolCallDelta(3, '{"x": '),
    ToolCallDelta(3, "1}"),
    ToolCallDelta(4, "", "b", "g"),
    ToolCallDelta(4, "{}"),
    Finished("tool_calls"),
    Metered(Usage(17, 50, cache_read_tokens=7)),
]


def events(*chunks: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def written(*told: Event) -> bytes:
    writer = DIALECT.writer(now=0, asks_usage=True)
    return b"".join(map(writer.write, told)) + writer.end()


def watched(*chunks: bytes) -> tuple[bytes, Seen]:
    tap = DIALECT.tap(hide_usage=True)
    return b"".join(map(tap.feed, chunks)) + tap.end(), tap.seen


# --- reading


def test_a_stream_is_read_whole() -> None:
    assert events(STREAM) == EVENTS


def test_a_stream_is_read_byte_by_byte() -> None:
    assert events(*pieces(STREAM, list(range(1, len(STREAM))))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_is_read_however_it_is_cut(cuts: list[int]) -> None:
    assert events(*pieces(STREAM, cuts)) == EVENTS


def test_the_vendors_sdk_collects_what_we_read() -> None:
    message = stream_in_sdk(STREAM)
    texts = "".join(event.text for event in EVENTS if isinstance(event, TextDelta))
    assert [found.text for found in message.content if found.type == "text"] == [texts]


def test_lines_may_end_with_carriage_returns_and_events_go_without_names() -> None:
    nameless = b"".join(line for line in STREAM.splitlines(keepends=True) if not line.startswith(b"event:"))
    assert events(STREAM.replace(b"\n", b"\r\n")) == events(nameless) == EVENTS


def test_bytes_after_the_end_change_nothing() -> None:
    assert events(STREAM + b": bye\n\n" + frame("something_new", x=1) + b"data: [DONE]\n\n") == EVENTS


@pytest.mark.parametrize(
    ("opening", "told"),
    [
        ({"type": "text", "text": "Hi"}, [TextDelta(0, "Hi")]),
        ({"type": "thinking", "thinking": "hm"}, [ThinkingDelta(0, "hm")]),
        ({"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}, [ToolCallDelta(0, '{"x": 1}', "a", "f")]),
    ],
)
def test_a_block_may_come_whole_in_its_start(opening: dict[str, Any], told: list[Event]) -> None:
    assert events(start() + block(0, **opening) + stop(0) + end())[2:3] == told


def test_later_counts_replace_earlier_ones() -> None:
    usage = {
        "input_tokens": 3,
        "cache_read_input_tokens": 0,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert events(start(cache_read_input_tokens=7) + end(usage=usage))[-1] == Metered(Usage(3, 9, reasoning_tokens=4))


@pytest.mark.parametrize("odd", [None, -1, "9", {}])
def test_a_later_count_that_is_no_count_leaves_the_earlier_one(odd: Any) -> None:
    usage = {"input_tokens": odd, "output_tokens": 9}
    assert events(start() + end(usage=usage))[-1] == Metered(Usage(10, 9))


def test_a_refusals_explanation_is_told_before_the_finish() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    closing = end(delta={"stop_reason": "refusal", "stop_details": details})
    assert events(start() + closing)[2:4] == [RefusalDelta(0, "No."), Finished("refusal")]


def test_the_stop_sequence_that_was_hit_is_read() -> None:
    closing = end(delta={"stop_reason": "stop_sequence", "stop_sequence": "END"})
    assert Finished("stop", "END") in events(start() + closing)


@pytest.mark.parametrize(
    ("data", "failed"),
    [
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            Failed("Overloaded", "overloaded_error"),
        ),
        (b'{"type":"error","error":"odd"}', Failed("odd")),
        (b"no json", Failed("no json")),
    ],
)
def test_an_error_inside_the_stream_is_an_event_and_an_end(data: bytes, failed: Failed) -> None:
    assert events(start() + b"event: error\ndata: " + data + b"\n\n")[-1] == failed


@pytest.mark.parametrize("cut", [0, 50, STREAM.index(b"event: message_delta")])
def test_a_stream_that_breaks_off_is_unexpected(cut: int) -> None:
    with pytest.raises(UnexpectedResponse):
        events(STREAM[:cut])


@pytest.mark.parametrize("data", [b"no json", b"[]", b'{"type":7}', delta(9, "text", text="x")[33:-2]])
def test_what_is_not_the_dialect_is_unexpected(data: bytes) -> None:
    with pytest.raises(UnexpectedResponse):
        events(start() + b"data: " + data + b"\n\n" + end())


# --- writing


def test_events_survive_writing_and_reading() -> None:
    usage = Usage(17, 50, cache_read_tokens=7, cache_write_tokens=6, cache_write_1h_tokens=2, reasoning_tokens=3)
    told: list[Event] = [event for event in EVENTS if not isinstance(event, Metered)]
    told.append(Metered(usage))
    expected = [told[0], Metered(Usage()), *told[1:]]  # a stream opens with counts, known or not
    assert events(written(*told)) == expected


def test_the_vendors_sdk_collects_a_written_stream() -> None:
    message = stream_in_sdk(written(*EVENTS))
    assert [part.type for part in message.content] == ["thinking", "redacted_thinking", "text", "tool_use", "tool_use"]
    thinking, _, text, call, silent = message.content
    assert thinking.type == "thinking"
    assert (thinking.thinking, thinking.signature) == ("hm", "c2ln")
    assert text.type == "text"
    assert text.text == "Héllo 😀"
    assert call.type == silent.type == "tool_use"
    assert (call.id, call.name, call.input, silent.input) == ("a", "f", {"x": 1}, {})
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (
        10,
        7,
        50,
    )


def test_calls_that_a_provider_writes_at_once_are_kept_apart() -> None:
    calls = [ToolCallDelta(0, "", "a", "f"), ToolCallDelta(1, "", "b", "g")]
    more = [ToolCallDelta(0, '{"x":'), ToolCallDelta(1, '{"y":'), ToolCallDelta(0, "1}"), ToolCallDelta(1, "2}")]
    message = stream_in_sdk(written(Started("m", "x"), *calls, *more, Finished("tool_calls")))
    assert [part.input for part in message.content if part.type == "tool_use"] == [{"x": 1}, {"y": 2}]


def test_a_stream_without_content_is_whole_too() -> None:
    message = stream_in_sdk(written(Finished("length")))
    assert (message.content, message.stop_reason) == ([], "max_tokens")


def test_a_refusal_is_told_in_the_stop_details() -> None:
    message = stream_in_sdk(
        written(Started("m", "x"), RefusalDelta(0, "No"), RefusalDelta(0, "."), Finished("refusal"))
    )
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert message.stop_details.explanation == "No."


def test_a_providers_failure_reaches_the_sdk_without_credentials() -> None:
    body = written(
        Started("m", "x"), TextDelta(0, "Hi"), Failed("key sk-ant-api03-abcdefgh is overloaded", "overloaded_error")
    )
    with pytest.raises(anthropic.APIStatusError) as caught:
        stream_in_sdk(body)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "overloaded_error"
    assert b"abcdefgh" not in body
    assert b"message_stop" not in body


def test_an_error_of_ours_inside_a_stream_reaches_the_sdk() -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        stream_in_sdk(start() + DIALECT.write_stream_error(ProviderUnavailable("Down."), "req_9"))
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"] == {
        "type": "overloaded_error",
        "message": "Down.",
        "code": "provider_unavailable",
        "action": ProviderUnavailable.default_action,
    }
    assert caught.value.body["request_id"] == "req_9"


# --- watching


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_tap_relays_every_byte_and_sees_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    relayed, seen = watched(*pieces(STREAM, cuts))
    assert relayed == STREAM
    assert (seen.usage, seen.finish, seen.model) == (Usage(17, 50, cache_read_tokens=7), "tool_calls", "claude-x")
    assert (seen.done, seen.failed, seen.frames) == (True, "", 7)
    assert seen.content_bytes > 20


def test_a_cut_stream_keeps_the_counts_of_its_start() -> None:
    _, seen = watched(STREAM[: STREAM.index(b"event: message_delta")])
    assert (seen.usage, seen.done, seen.finish) == (Usage(17, 1, cache_read_tokens=7), False, "")


@pytest.mark.parametrize(
    ("data", "failed"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "Overloaded"),
        (b'{"type":"error","error":{"type":"overloaded_error"}}', "overloaded_error"),
        (b'{"type":"error"}', "error"),
        (b"junk", "junk"),
    ],
)
def test_the_tap_notes_an_error_inside_the_stream(data: bytes, failed: str) -> None:
    body = start() + b"event: error\ndata: " + data + b"\n\n"
    assert watched(body)[1].failed == failed


def test_words_of_an_answer_never_pass_for_counts_or_ends() -> None:
    text = 'event: error {"type": "message_stop"} {"type":"message_delta","usage":{"output_tokens":9}} "error"'
    body = start() + block(0, type="text", text="") + delta(0, "text", text=text) + stop(0)
    relayed, seen = watched(body)
    assert relayed == body
    assert (seen.usage, seen.done, seen.failed) == (Usage(10, 1), False, "")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([STREAM, b"data: ", b"\n\n", b"event: error\n", start(), end()]))
)
def test_no_bytes_raise_anything_but_our_errors(chunks: list[bytes]) -> None:
    with contextlib.suppress(UnexpectedResponse):
        events(*chunks)
    assert watched(*chunks)[0] == b"".join(chunks)
