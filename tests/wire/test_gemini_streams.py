"""Streams of the Gemini API: read, written, watched, and as arrays."""

import json
from typing import Any

import pytest

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
from dominion.wire.gemini.dialect import GEMINI as DIALECT
from dominion.wire.gemini.stream import ArrayWriter

STARTED = Started("r1", "gemini-x")


def frame(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    end = {"finishReason": finish} if finish else {}
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **end}
    chunk = {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r1"} | more
    return b"data: %b\r\n\r\n" % json.dumps(chunk).encode()


def read(*chunks: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def written(*events: Event) -> list[Any]:
    writer = DIALECT.writer(now=7, asks_usage=True)
    out = b"".join(map(writer.write, events)) + writer.end()
    return [json.loads(piece.removeprefix(b"data: ")) for piece in out.split(b"\n\n") if piece]


def parts_of(chunks: list[Any]) -> list[Any]:
    return [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]


# --- reading


def test_a_stream_is_read() -> None:
    events = read(
        frame({"text": "h", "thought": True}, usageMetadata={"promptTokenCount": 7, "totalTokenCount": 7}),
        frame({"text": "m", "thought": True}, usageMetadata={"promptTokenCount": 7, "totalTokenCount": 7}),
        frame({"text": "Hel"}),
        frame({"text": "lo", "thoughtSignature": "s1"}),
        frame({"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "s2"}),
        frame({"text": "", "thoughtSignature": "s3"}),
        frame({"text": ""}, finish="STOP", usageMetadata={"promptTokenCount": 7, "candidatesTokenCount": 4}),
    )
    assert events == [
        STARTED,
        ThinkingDelta(0, "h"),
        Metered(Usage(input_tokens=7)),
        ThinkingDelta(0, "m"),
        *(TextDelta(1, "Hel"), TextDelta(1, "lo"), ThinkingDelta(2, signature="s1")),
        ToolCallDelta(3, '{"x": 1}', "call_r1_0", "f", "s2"),
        ThinkingDelta(4, redacted="s3"),
        Finished("tool_calls"),
        Metered(Usage(input_tokens=7, output_tokens=4)),
    ]


def test_a_signature_closes_its_thought() -> None:
    thoughts = [{"text": "a", "thought": True}, {"text": "", "thought": True, "thoughtSignature": "s"}]
    events = read(frame(*thoughts, {"text": "b", "thought": True}, finish="STOP"))
    assert events[1:4] == [ThinkingDelta(0, "a"), ThinkingDelta(0, signature="s"), ThinkingDelta(1, "b")]


def test_a_call_in_pieces_is_put_together() -> None:
    def piece(path: str, more: bool = True, **value: Any) -> bytes:  # noqa: FBT001, FBT002
        call = {"partialArgs": [{"jsonPath": path, **value}], **({"willContinue": True} if more else {})}
        return frame({"functionCall": call})

    events = read(
        frame({"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "s"}),
        piece("$.a.list[0].name", stringValue="Ann", willContinue=True),
        piece("$.a.list[0].name", stringValue="e"),
        piece("$.a.list[1].n", numberValue=3),
        piece("$['odd key']", boolValue=False),
        piece("$.nothing", nullValue="NULL_VALUE"),
        frame({"functionCall": {}}),
        frame({"functionCall": {}}),
        frame({"functionCall": {"name": "g", "willContinue": True}}),
        piece("$.x", more=False, numberValue=0.5),
        frame({"functionCall": {"name": "h", "willContinue": True}}),
        frame({"text": ""}, finish="STOP"),
    )
    arguments = '{"a":{"list":[{"name":"Anne"},{"n":3}]},"odd key":false,"nothing":null}'
    assert events[1:] == [
        *(ToolCallDelta(0, "", "call_r1_0", "f", "s"), ToolCallDelta(0, arguments)),
        *(ToolCallDelta(1, "", "call_r1_1", "g"), ToolCallDelta(1, '{"x":0.5}')),
        *(ToolCallDelta(2, "", "call_r1_2", "h"), ToolCallDelta(2, "{}")),
        Finished("tool_calls"),
    ]


def test_a_blocked_prompt_ends_the_stream() -> None:
    feedback = {"blockReason": "SAFETY", "blockReasonMessage": "Not this."}
    assert read(frame(promptFeedback=feedback, candidates=None)) == [
        *(STARTED, RefusalDelta(0, "Not this."), Finished("content_filter"))
    ]


def test_an_error_inside_the_stream_is_told_and_ends_it() -> None:
    failing = b'data: {"error":{"code":503,"message":"Busy, key AIzaSyA1234567890abcdef","status":"UNAVAILABLE"}}\n\n'
    assert read(frame({"text": "a"}), failing)[-1] == Failed("Busy, key [masked]", "UNAVAILABLE")


@pytest.mark.parametrize("body", [b"", frame({"text": "a"}), b"data: [1]\n\n", b"data: {\n\n"])
def test_a_stream_that_breaks_off_or_is_none_is_unexpected(body: bytes) -> None:
    with pytest.raises(UnexpectedResponse):
        read(body)


def test_a_frame_without_its_end_counts() -> None:
    assert read(frame({"text": "a"}, finish="MAX_TOKENS").rstrip()) == [STARTED, TextDelta(0, "a"), Finished("length")]


def test_an_image_larger_than_a_megabyte_passes() -> None:
    blob = {"inlineData": {"mimeType": "image/png", "data": "a" * (2 << 20)}}
    shown = f"![image](data:image/png;base64,{'a' * (2 << 20)})"
    assert read(frame(blob, finish="STOP")) == [STARTED, TextDelta(0, shown), Finished("stop")]


# --- writing


def test_a_stream_is_written() -> None:
    usage = Usage(input_tokens=10, output_tokens=5, reasoning_tokens=2)
    chunks = written(
        *(STARTED, ThinkingDelta(0, "hm"), ThinkingDelta(0, signature="s1"), TextDelta(1, "Hi")),
        *(ToolCallDelta(2, "", "a", "f", "s2"), ToolCallDelta(3, "", "b", "g"), ToolCallDelta(2, '{"x":')),
        *(ToolCallDelta(2, "1}"), Metered(usage), TextDelta(4, "So."), Finished("tool_calls")),
    )
    assert parts_of(chunks) == [
        {"text": "hm", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": "s1"},
        {"text": "Hi"},
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "s2"},
        {"functionCall": {"id": "b", "name": "g", "args": {}}},
        {"text": "So."},
        {"text": ""},
    ]
    assert [(chunk["responseId"], chunk["modelVersion"]) for chunk in chunks] == [("r1", "gemini-x")] * 6
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks] == [None] * 5 + ["STOP"]
    assert [chunk.get("usageMetadata", {}).get("totalTokenCount") for chunk in chunks] == [None] * 5 + [15]


def test_a_refusal_comes_with_the_end() -> None:
    (chunk,) = written(STARTED, RefusalDelta(0, "No"), RefusalDelta(0, "."), Finished("refusal"))
    candidate = chunk["candidates"][0]
    assert (candidate["finishReason"], candidate["finishMessage"]) == ("SAFETY", "No.")


def test_a_failure_ends_the_stream_by_itself() -> None:
    chunks = written(STARTED, TextDelta(0, "a"), Failed("Busy.", "overloaded_error"))
    assert chunks[1:] == [{"error": {"code": 500, "message": "Busy.", "status": "INTERNAL"}}]


def test_an_error_of_the_gateway_inside_a_stream_is_a_frame() -> None:
    out = DIALECT.write_stream_error(ProviderUnavailable("Gone."), "req_1")
    assert read(out) == [Failed("Gone.", "UNAVAILABLE")]


# --- watching


def seen_of(body: bytes, size: int) -> Seen:
    tap = DIALECT.tap(hide_usage=True)
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert [tap.feed(chunk) for chunk in chunks] == chunks
    assert tap.end() == b""
    return tap.seen


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_a_tap_sees_counts_finish_and_model_and_relays_every_byte(size: int) -> None:
    body = frame({"text": "Hello"}, usageMetadata={"promptTokenCount": 7}) + frame(
        {"functionCall": {"name": "f"}}, usageMetadata={"promptTokenCount": 7, "candidatesTokenCount": 2}
    )
    seen = seen_of(body, size)
    assert (seen.usage, seen.done, seen.finish) == (Usage(input_tokens=7, output_tokens=2), False, "")
    body += frame({"text": ""}, finish="STOP")
    seen = seen_of(body, size)
    assert (seen.usage, seen.done, seen.finish) == (Usage(input_tokens=7, output_tokens=2), True, "tool_calls")
    assert (seen.model, seen.frames, seen.content_bytes) == ("gemini-x", 2, 5)


def test_a_tap_sees_an_error_and_passes_over_what_is_odd() -> None:
    odd = b"data: [DONE]\n\ndata: {\n\n: comment\n\n"
    seen = seen_of(odd + b'data: {"error":{"message":"Busy."}}\n\n', 9)
    assert (seen.failed, seen.done, seen.usage) == ("Busy.", False, None)


# --- arrays


@pytest.mark.parametrize("size", [1, 33, 10_000])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_stream_becomes_the_array_of_callers_without_sse(size: int, count: int) -> None:
    body = b"".join(frame({"text": f"{place},\n"}) for place in range(count))
    writer = ArrayWriter()
    out = b"".join(writer.feed(body[start : start + size]) for start in range(0, len(body), size)) + writer.end()
    told = json.loads(out)
    assert [part["text"] for part in parts_of(told)] == [f"{place},\n" for place in range(count)]
