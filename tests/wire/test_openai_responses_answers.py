"""Answers, streams and errors of OpenAI Responses, in both roles; what is written is judged by the vendor's SDK."""

import json
from typing import Any

import openai
import pytest

from dominion.domain.errors import LossyTranslation, ProviderTimeout, QuotaExceeded, UnexpectedResponse
from dominion.domain.messages import (
    Answer,
    Event,
    Failed,
    Finished,
    FinishReason,
    Message,
    Metered,
    Part,
    Refusal,
    RefusalDelta,
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
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES as DIALECT
from dominion.wire.sse import FRAME_LIMIT
from tests.wire.openai_oracle import answer_in_sdk, check_answer, check_stream, error_in_sdk, stream_in_sdk

USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 150,
}
USED = Usage(100, 50, cache_read_tokens=40, cache_write_tokens=10, reasoning_tokens=20)
PARTS: tuple[Part, ...] = (
    Thinking("hm", "c2ln"),
    Thinking(redacted="c2VhbA"),
    Text("Hello"),
    ToolCall("a", "f", '{"x":1}', signature="Y2FsbA"),
    ToolCall("b", "g", ""),
)
EVENTS: list[Event] = [
    Started("msg_9", "claude"),
    ThinkingDelta(0, "h"),
    ThinkingDelta(0, "m"),
    ThinkingDelta(0, signature="c2ln"),
    ThinkingDelta(1, redacted="c2VhbA"),
    TextDelta(2, "Hel"),
    TextDelta(2, "lo"),
    ToolCallDelta(3, "", "a", "f", "Y2FsbA"),
    ToolCallDelta(4, "", "b", "g"),
    ToolCallDelta(3, '{"x"'),
    ToolCallDelta(3, ":1}"),
    Finished("tool_calls"),
    Metered(USED),
]


def answer(*parts: Part, finish: FinishReason = "stop", usage: Usage | None = USED) -> Answer:
    return Answer("msg_9", "claude", parts, finish, usage)


def stream(*events: Event) -> bytes:
    writer = DIALECT.writer(now=7, asks_usage=True)
    return b"".join([writer.write(event) for event in events]) + writer.end()


def whole(output: list[dict[str, Any]], **fields: Any) -> bytes:
    told = {"id": "r", "object": "response", "model": "m", "status": "completed", "output": output, "usage": USAGE}
    return json.dumps(told | fields).encode()


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def events_of(body: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return reader.feed(body) + reader.end()


def given_back(output: list[dict[str, Any]]) -> tuple[Part, ...]:
    """What the door reads when the caller sends the items of an answer back."""
    fields = read_fields(json.dumps({"model": "m", "input": [*output, {"role": "user", "content": "And?"}]}).encode())
    turns: tuple[Message, ...] = DIALECT.read_request(fields).messages
    return turns[0].parts


# --- whole answers


def test_seals_of_other_apis_come_back_as_they_were_from_a_whole_answer_and_from_a_stream() -> None:
    expected = (*PARTS[:-1], ToolCall("b", "g", "{}"))
    body = DIALECT.write_answer(answer(*PARTS, finish="tool_calls"), now=7)
    assert given_back(json.loads(body)["output"]) == expected
    assert given_back(check_stream(stream(*EVENTS))[-1]["response"]["output"]) == expected


def test_a_thought_without_text_keeps_its_kind() -> None:
    parts = (Thinking(signature="c2ln"), Thinking(redacted="c2VhbA"), Text("Hello"))
    assert given_back(json.loads(DIALECT.write_answer(answer(*parts), now=7))["output"]) == parts
    events = stream(ThinkingDelta(0, signature="c2ln"), ThinkingDelta(1, redacted="c2VhbA"), TextDelta(2, "Hello"))
    assert given_back(check_stream(events)[-1]["response"]["output"]) == parts


def test_ids_of_items_differ_within_and_between_answers() -> None:
    bodies = [DIALECT.write_answer(Answer(name, "m", PARTS, "stop", None), now=7) for name in ("one", "two")]
    ids = [item["id"] for body in bodies for item in json.loads(body)["output"]]
    assert len(set(ids)) == len(ids) == 12


def test_the_sdk_reads_what_is_written() -> None:
    body = DIALECT.write_answer(answer(*PARTS, finish="tool_calls"), now=7)
    told = answer_in_sdk(body)
    assert check_answer(body) == told
    assert (told.id, told.model, told.created_at, told.status) == ("msg_9", "claude", 7, "completed")
    assert told.output_text == "Hello"
    assert told.usage is not None
    assert told.usage.to_dict() == USAGE


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("refusal", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("error", "failed", None),
    ],
)
def test_why_an_answer_ended_is_its_status(finish: FinishReason, status: str, reason: str | None) -> None:
    told = check_answer(DIALECT.write_answer(answer(Text("x"), finish=finish), now=7))
    assert told.status == status
    assert (told.incomplete_details and told.incomplete_details.reason) == reason
    last = check_stream(stream(Started("i", "m"), TextDelta(0, "x"), Finished(finish)))[-1]
    assert (last["type"], last["response"]["status"]) == (f"response.{status}", status)


def test_a_refusal_is_a_refusal() -> None:
    refused = answer(Refusal("No"), finish="refusal")
    body = DIALECT.write_answer(refused, now=7)
    check_answer(body)
    assert DIALECT.read_answer(body) == refused
    again = events_of(stream(Started("i", "m"), RefusalDelta(0, "N"), RefusalDelta(0, "o"), Finished("refusal")))
    assert again == [Started("i", "m"), RefusalDelta(0, "N"), RefusalDelta(0, "o"), Finished("refusal")]


@pytest.mark.parametrize("status", ["failed", "queued", "in_progress", "cancelled"])
def test_an_answer_without_an_end_is_none(status: str) -> None:
    with pytest.raises(UnexpectedResponse, match="It says: Boom"):
        DIALECT.read_answer(whole([], status=status, error={"code": "server_error", "message": "Boom"}))


def test_cached_and_reasoning_tokens_never_outgrow_what_they_are_part_of() -> None:
    odd = USAGE | {"input_tokens_details": {"cached_tokens": 999}, "output_tokens_details": {"reasoning_tokens": 999}}
    assert DIALECT.read_seen(whole([], usage=odd)).usage == Usage(100, 50, cache_read_tokens=100, reasoning_tokens=50)


def test_a_relayed_answer_is_seen() -> None:
    call = {"type": "function_call", "id": "fc", "call_id": "a", "name": "f", "arguments": "{}"}
    seen = DIALECT.read_seen(whole([call]))
    assert (seen.usage, seen.finish, seen.model, seen.content_bytes) == (USED, "tool_calls", "m", 0)
    unknown = DIALECT.read_seen(whole([], usage=None))
    assert (unknown.usage, unknown.content_bytes) == (None, len(whole([], usage=None)))
    with pytest.raises(UnexpectedResponse):
        DIALECT.read_seen(b"<html>")


# --- streams


def test_a_written_stream_is_collected_by_the_sdk_into_the_answer() -> None:
    body = stream(*EVENTS)
    collected = stream_in_sdk(body)
    assert collected.output_text == "Hello"
    calls = [(item.call_id, item.name, item.arguments) for item in collected.output if item.type == "function_call"]
    assert calls == [("a", "f", '{"x":1}'), ("b", "g", "{}")]
    assert collected.usage is not None
    assert collected.usage.to_dict() == USAGE


def test_a_written_stream_opens_and_closes_every_item_once_and_ends_with_all_of_them() -> None:
    told = check_stream(stream(*EVENTS))
    added = [event["output_index"] for event in told if event["type"] == "response.output_item.added"]
    done = {event["output_index"]: event["item"] for event in told if event["type"] == "response.output_item.done"}
    assert added == sorted(done) == list(range(6))
    assert [done[index] for index in added] == told[-1]["response"]["output"]
    # What cannot go on is closed before the next item begins.
    kinds = [event["type"] for event in told]
    assert kinds.index("response.output_text.done") < kinds.index("response.function_call_arguments.delta")


def test_text_that_goes_on_after_another_item_is_an_item_of_its_own() -> None:
    told = check_stream(stream(Started("i", "m"), TextDelta(0, "a"), ThinkingDelta(1, "b"), TextDelta(0, "c")))
    assert [item["type"] for item in told[-1]["response"]["output"]] == ["message", "reasoning", "message"]


def test_a_stream_without_a_start_still_begins() -> None:
    assert [event["type"] for event in check_stream(stream())] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]


def test_a_failure_ends_a_written_stream_and_the_sdk_raises_it() -> None:
    writer = DIALECT.writer(now=7, asks_usage=True)
    body = writer.write(Started("i", "m")) + writer.write(Failed("Boom sk-abcdefghijklmnop", "overloaded"))
    assert writer.end() == b""
    told = check_stream(body)
    assert [event["type"] for event in told[-2:]] == ["error", "response.failed"]
    assert told[-2]["message"] == told[-2]["error"]["message"] == told[-1]["response"]["error"]["message"]
    assert told[-2]["message"] == "Boom [masked]"
    with pytest.raises(openai.APIError, match="Boom"):
        stream_in_sdk(body)
    assert events_of(body) == [Started("i", "m"), Failed("Boom [masked]", "overloaded")]


def test_items_are_known_by_their_place_whatever_their_ids() -> None:
    def piece(kind: str, place: int, name: str, **fields: Any) -> dict[str, Any]:
        return {"type": f"response.{kind}", "output_index": place, "item_id": name, **fields}

    call = {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""}
    thought = {"type": "reasoning", "id": "id8", "summary": [{"type": "summary_text", "text": "hm"}]}
    body = frames(
        {"type": "response.created", "response": {"id": "id0", "model": "m"}},
        {"type": "response.in_progress", "response": {"id": "id1", "model": "m"}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "id2"}},
        piece("reasoning_summary_text.delta", 0, "id3", summary_index=0, delta="hm"),
        piece("reasoning_summary_text.delta", 0, "id4", summary_index=1, delta="so"),
        {"type": "response.output_item.done", "output_index": 0, "item": thought | {"encrypted_content": "seal"}},
        {"type": "response.output_item.added", "output_index": 1, "item": call | {"id": "id5"}},
        {"type": "response.output_item.added", "output_index": 2, "item": call | {"id": "id6", "call_id": "b"}},
        piece("function_call_arguments.delta", 2, "id7", delta='{"y"'),
        piece("function_call_arguments.delta", 1, "id8", delta="{}"),
        piece("function_call_arguments.delta", 2, "id9", delta=":1}"),
        {"type": "response.completed", "response": {"id": "id99", "model": "m", "output": [], "usage": USAGE}},
    )
    assert events_of(body) == [
        Started("id0", "m"),
        ThinkingDelta(0, "hm"),
        ThinkingDelta(0, "\n\nso"),
        ThinkingDelta(0, signature="id8:seal"),
        ToolCallDelta(1, "", "a", "f"),
        ToolCallDelta(2, "", "b", "f"),
        ToolCallDelta(2, '{"y"'),
        ToolCallDelta(1, "{}"),
        ToolCallDelta(2, ":1}"),
        Finished("tool_calls"),
        Metered(USED),
    ]


ITEMS: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "seal"},
    {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
    {"type": "function_call", "id": "f", "call_id": "a", "name": "f", "arguments": "{}"},
    {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search"}},
]
IN_ONE_PIECE: list[Event] = [
    ThinkingDelta(0, redacted="r:seal"),
    TextDelta(1, "Hello"),
    ToolCallDelta(2, "{}", "a", "f"),
    Finished("tool_calls"),
    Metered(USED),
]


def test_items_without_deltas_are_read_at_their_end() -> None:
    done = [{"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(ITEMS)]
    end = {"type": "response.completed", "response": json.loads(whole(ITEMS))}
    assert events_of(frames(*done, end)) == [*IN_ONE_PIECE[:3], Started("r", "m"), *IN_ONE_PIECE[3:]]


def test_an_answer_that_comes_in_the_last_event_only_is_read_from_it() -> None:
    end = {"type": "response.completed", "response": json.loads(whole(ITEMS))}
    assert events_of(frames(end)) == [Started("r", "m"), *IN_ONE_PIECE]


def test_a_call_whose_arguments_come_at_its_end_only_has_them_once() -> None:
    call = {"type": "function_call", "id": "f", "call_id": "a", "name": "f", "arguments": ""}
    body = frames(
        {"type": "response.output_item.added", "output_index": 0, "item": call},
        {"type": "response.output_item.done", "output_index": 0, "item": call | {"arguments": "{}"}},
        {"type": "response.completed", "response": json.loads(whole([]))},
    )
    assert events_of(body)[:2] == [ToolCallDelta(0, "", "a", "f"), ToolCallDelta(0, "{}")]


def test_a_length_stop_is_told_by_the_last_event() -> None:
    response = json.loads(whole([], status="incomplete", incomplete_details={"reason": "max_output_tokens"}))
    body = frames({"type": "response.incomplete", "response": response})
    assert events_of(body) == [Started("r", "m"), Finished("length"), Metered(USED)]
    tap = DIALECT.tap(hide_usage=False)
    assert tap.feed(body) == body
    assert (tap.seen.finish, tap.seen.usage, tap.seen.done) == ("length", USED, True)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "overloaded", "message": "Boom", "param": None},
        {"type": "error", "error": {"type": "server_error", "code": "overloaded", "message": "Boom"}},
        {"type": "response.failed", "response": {"error": {"code": "overloaded", "message": "Boom"}}},
    ],
)
def test_an_error_inside_a_stream_is_read_in_each_shape(event: dict[str, Any]) -> None:
    assert events_of(frames(event)) == [Failed("Boom", "overloaded")]
    tap = DIALECT.tap(hide_usage=False)
    assert tap.feed(frames(event)) == frames(event)
    assert tap.seen.failed == "Boom"


def test_a_stream_that_breaks_off_is_told() -> None:
    reader = DIALECT.reader()
    reader.feed(frames({"type": "response.created", "response": {"id": "r", "model": "m"}}))
    with pytest.raises(UnexpectedResponse, match="broke off"):
        reader.end()


def test_arguments_of_no_call_are_not_the_dialect() -> None:
    with pytest.raises(UnexpectedResponse, match="not begun"):
        events_of(frames({"type": "response.function_call_arguments.delta", "output_index": 3, "delta": "{"}))


def test_a_tap_counts_the_text_that_went_by() -> None:
    tap = DIALECT.tap(hide_usage=False)
    tap.feed(frames(*({"type": "response.output_text.delta", "delta": text} for text in ("Hel", "lo"))))
    assert (tap.seen.frames, tap.seen.content_bytes, tap.seen.done) == (2, 5, False)


def test_a_last_frame_as_long_as_a_picture_is_relayed_and_read() -> None:
    picture = {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "A" * FRAME_LIMIT}
    body = frames({"type": "response.completed", "response": json.loads(whole([picture]))})
    tap = DIALECT.tap(hide_usage=False)
    assert tap.feed(body) == body
    assert tap.seen.usage == USED
    assert events_of(body)[-1] == Metered(USED)


# --- errors


def test_an_error_reaches_the_sdk_with_its_words() -> None:
    error = error_in_sdk(400, DIALECT.write_error(LossyTranslation("No place for x.", param="x"), "req_1"))
    assert (error.code, error.param) == ("lossy_translation", "x")
    assert "No place for x." in error.message


def test_an_error_inside_a_running_stream_ends_it() -> None:
    body = DIALECT.write_stream_error(ProviderTimeout("Too slow."), "req_1")
    told = check_stream(body)
    assert [event["type"] for event in told] == ["error", "response.failed"]
    assert told[0]["error"]["request_id"] == "req_1"
    assert events_of(body) == [Failed("Too slow.", "provider_timeout")]
    with pytest.raises(openai.APIError, match="Too slow"):
        stream_in_sdk(body)


def test_a_limit_tells_its_numbers() -> None:
    error = QuotaExceeded("Used up.", kind="daily_tokens", limit=5, used=5, resets_at=None, retry_after=1)
    assert json.loads(DIALECT.write_error(error, "req_1"))["error"]["limit"] == 5
