"""What this gateway says to and as Bedrock, judged by AWS's own library: frames, requests, answers and errors."""

import json
from typing import Any

import pytest

from dominion.domain.contracts import Dialect
from dominion.domain.errors import ProviderRateLimited
from dominion.domain.messages import (
    Answer,
    Event,
    Failed,
    Finished,
    Metered,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.anthropic_cloud import BEDROCK_INVOKE
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE
from dominion.wire.bedrock.eventstream import MessageReader
from dominion.wire.fields import read_fields
from dominion.wire.native.dialect import NATIVE
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.sse import FrameReader
from tests.wire.cloud_requests import ANTHROPIC_REQUEST, OPENAI_REQUEST
from tests.wire.event_frames import ALL_KINDS, ALL_VALUES, frame_of
from tests.wire.recordings import needs_recordings, recordings

REASON = "botocore is not installed; it is AWS's own library, the strict reader of these tests"
botocore_frames: Any = pytest.importorskip("botocore.eventstream", reason=REASON)
botocore_parsers: Any = pytest.importorskip("botocore.parsers", reason=REASON)
botocore_session: Any = pytest.importorskip("botocore.session", reason=REASON)
botocore_validate: Any = pytest.importorskip("botocore.validate", reason=REASON)

USAGE = Usage(100, 50, 40, 20, 5)
EVENTS: list[Event] = [
    Started("", ""),
    ThinkingDelta(0, "hm"),
    ThinkingDelta(0, signature="c2ln"),
    ThinkingDelta(1, redacted="c2VhbA=="),
    TextDelta(2, "Hel"),
    TextDelta(2, "lo €"),
    ToolCallDelta(3, "", "a", "f"),
    ToolCallDelta(3, '{"x":'),
    ToolCallDelta(3, "1}"),
    ToolCallDelta(4, '{"y":2}', "b", "g"),
    Finished("tool_calls"),
    Metered(USAGE),
]
USED = {
    "inputTokens": 40,
    "outputTokens": 50,
    "totalTokens": 150,
    "cacheReadInputTokens": 40,
    "cacheWriteInputTokens": 20,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 5}, {"ttl": "5m", "inputTokens": 15}],
}


@pytest.fixture(scope="module")
def model() -> Any:
    """AWS's model of `bedrock-runtime`."""
    return botocore_session.get_session().get_service_model("bedrock-runtime")


def in_botocore(stream: bytes) -> list[Any]:
    buffer = botocore_frames.EventStreamBuffer()
    buffer.add_data(stream)
    return list(buffer)


def written(dialect: Dialect, events: list[Event]) -> bytes:
    writer = dialect.writer(now=0, asks_usage=True)
    return b"".join(map(writer.write, events)) + writer.end()


def parsed(model: Any, stream: bytes) -> list[dict[str, Any]]:
    """The stream as boto3 gives it to its caller."""
    shape = model.operation_model("ConverseStream").output_shape.members["stream"]
    parser = botocore_parsers.EventStreamJSONParser()
    return [parser.parse(frame.to_response_dict(), shape) for frame in in_botocore(stream)]


def test_headers_of_every_type_are_as_in_botocore() -> None:
    (theirs,) = in_botocore(frame_of(ALL_KINDS, b"x"))
    assert theirs.headers == ALL_VALUES


@needs_recordings
def test_every_recorded_stream_is_cut_as_botocore_cuts_it() -> None:
    for recording in recordings("converse-stream", "invoke-with-response-stream", kind="eventstream"):
        ours = MessageReader().feed(recording.body)
        theirs = in_botocore(recording.body)
        assert [(found.headers, found.payload) for found in ours] == [(one.headers, one.payload) for one in theirs]


def test_a_stream_of_ours_is_what_botocore_expects_of_converse(model: Any) -> None:
    events = parsed(model, written(BEDROCK_CONVERSE, EVENTS))
    assert [next(iter(event)) for event in events][:2] == ["messageStart", "contentBlockDelta"]
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert [delta["contentBlockIndex"] for delta in deltas] == [0, 0, 1, 2, 2, 3, 3, 4]
    assert deltas[1]["delta"] == {"reasoningContent": {"signature": "c2ln"}}
    assert deltas[2]["delta"] == {"reasoningContent": {"redactedContent": b"seal"}}
    assert "".join(delta["delta"].get("text", "") for delta in deltas) == "Hello €"
    starts = [event["contentBlockStart"]["start"]["toolUse"] for event in events if "contentBlockStart" in event]
    assert starts == [{"toolUseId": "a", "name": "f"}, {"toolUseId": "b", "name": "g"}]
    assert [event["contentBlockStop"]["contentBlockIndex"] for event in events if "contentBlockStop" in event] == [
        *range(5)
    ]
    assert events[-2] == {"messageStop": {"stopReason": "tool_use"}}
    assert events[-1]["metadata"]["usage"] == USED


@pytest.mark.parametrize("dialect", [BEDROCK_CONVERSE, BEDROCK_INVOKE], ids=lambda dialect: dialect.name)
def test_an_error_of_ours_in_a_stream_is_an_exception_for_botocore(dialect: Dialect) -> None:
    (frame,) = in_botocore(dialect.write_stream_error(ProviderRateLimited("Slow down."), "req-1"))
    assert frame.to_response_dict()["status_code"] == 400
    assert frame.headers[":exception-type"] == "internalServerException"
    assert json.loads(frame.payload)["message"] == "Slow down."


def test_a_failure_in_a_stream_is_an_exception_for_botocore() -> None:
    *_, frame = in_botocore(written(BEDROCK_CONVERSE, [Started("", ""), TextDelta(0, "x"), Failed("gone", "y")]))
    assert frame.headers[":message-type"] == "exception"
    assert json.loads(frame.payload) == {"message": "gone"}


def test_a_whole_answer_of_ours_is_what_botocore_expects_of_converse(model: Any) -> None:
    parts = (Thinking("hm", "c2ln"), Thinking(redacted="c2VhbA=="), Text("Hello"), ToolCall("a", "f", '{"x":1}'))
    body = BEDROCK_CONVERSE.write_answer(Answer("", "", parts, "tool_calls", USAGE), now=0)
    parser = botocore_parsers.create_parser("rest-json")
    shape = model.operation_model("Converse").output_shape
    told = parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
    assert told["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": b"seal"}},
        {"text": "Hello"},
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}},
    ]
    assert (told["stopReason"], told["usage"]) == ("tool_use", USED)


def test_an_error_of_ours_has_its_message_where_botocore_looks(model: Any) -> None:
    parser = botocore_parsers.create_parser("rest-json")
    body = BEDROCK_CONVERSE.write_error(ProviderRateLimited("Slow down."), "req-1")
    headers = {"x-amzn-errortype": "ThrottlingException"}
    shape = model.operation_model("Converse").output_shape
    told = parser.parse({"status_code": 429, "headers": headers, "body": body}, shape)
    assert told["Error"]["Message"] == "Slow down."


@pytest.mark.parametrize(
    "name",
    [
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "us.anthropic.claude-opus-4-8-v1",
        "us.amazon.nova-2-lite-v1:0",
        "openai.gpt-oss-120b-1:0",
        "meta.llama3-2-1b-instruct-v1:0",
    ],
)
@pytest.mark.parametrize(
    ("door", "fields"),
    [(OPENAI_CHAT, OPENAI_REQUEST), (ANTHROPIC_MESSAGES, ANTHROPIC_REQUEST)],
    ids=["openai_chat", "anthropic_messages"],
)
def test_every_translated_request_fits_the_model_that_botocore_has(
    model: Any, door: Dialect, fields: dict[str, Any], name: str
) -> None:
    request = door.read_request(read_fields(json.dumps(fields).encode()))
    body = json.loads(BEDROCK_CONVERSE.write_request(request, model=name, output_cap=None).body)
    known = model.operation_model("Converse").input_shape
    assert not body.keys() - known.members.keys()
    report = botocore_validate.ParamValidator().validate(body | {"modelId": name}, known)
    assert not report.has_errors(), report.generate_report()


@needs_recordings
def test_every_recorded_stream_of_invoke_is_unwrapped_as_the_sdk_does() -> None:
    decoder: Any = pytest.importorskip("anthropic.lib.bedrock._stream_decoder").AWSEventStreamDecoder()
    compared = 0
    for recording in recordings("invoke-with-response-stream", kind="eventstream"):
        if b'"message_start"' not in recording.body and "anthropic" not in recording.path:
            continue
        if recording.request is None or "messages" not in recording.request:
            continue
        tap = BEDROCK_INVOKE.tap(hide_usage=False)
        ours = FrameReader().feed(tap.feed(recording.body))
        theirs = list(decoder.iter_bytes(iter([recording.body])))
        assert [json.loads(frame.data) for frame in ours] == [json.loads(event.data) for event in theirs]
        assert [frame.event for frame in ours] == [json.loads(event.data)["type"] for event in theirs]
        compared += 1
    assert compared == 11


def test_a_stream_of_ours_for_invoke_is_what_the_sdk_expects() -> None:
    decoder: Any = pytest.importorskip("anthropic.lib.bedrock._stream_decoder").AWSEventStreamDecoder()
    theirs = [json.loads(event.data) for event in decoder.iter_bytes(iter([written(BEDROCK_INVOKE, EVENTS)]))]
    plain = FrameReader().feed(written(ANTHROPIC_MESSAGES, EVENTS))
    assert theirs == [json.loads(frame.data) for frame in plain]


def test_the_native_door_reaches_converse_too(model: Any) -> None:
    request = NATIVE.read_request(read_fields(b'{"prompt": "Hello", "max_tokens": 5}'))
    body = json.loads(BEDROCK_CONVERSE.write_request(request, model="meta.x", output_cap=7).body)
    known = model.operation_model("Converse").input_shape
    assert not botocore_validate.ParamValidator().validate(body | {"modelId": "meta.x"}, known).has_errors()
    assert body["inferenceConfig"]["maxTokens"] == 7
