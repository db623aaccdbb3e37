"""The Messages API at the clouds: what is sent, and what a caller gets back. Anthropic's own SDK is a judge of both."""

import base64
import json
import random
from typing import Any

import anthropic
import httpx2
import pytest

from dominion.domain import errors as e
from dominion.domain.contracts import Dialect
from dominion.domain.messages import Event, Failed, Metered, Started, TextDelta
from dominion.domain.usage import Usage
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.anthropic_cloud import ANTHROPIC_VERTEX, BEDROCK_INVOKE, AnthropicVertex, BedrockInvoke
from dominion.wire.bedrock.eventstream import MessageReader, encode
from dominion.wire.fields import read_fields
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.wire.anthropic_oracle import ASKED, stream_in_sdk
from tests.wire.cloud_requests import ANTHROPIC_REQUEST, OPENAI_REQUEST
from tests.wire.recordings import needs_recordings, pieces, recordings

INVOKE, VERTEX = BedrockInvoke(), AnthropicVertex()
clouds = pytest.mark.parametrize("cloud", [INVOKE, VERTEX], ids=lambda cloud: cloud.name)
VERSIONS = {"bedrock_invoke": "bedrock-2023-05-31", "anthropic_vertex": "vertex-2023-10-16"}
EXOTIC = {
    "container": "c1",
    "mcp_servers": [{"type": "url", "url": "https://x"}],
    "thinking": {"type": "adaptive", "display": "omitted"},
    "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "x"}}]}],
}
"""Fields that have no place in any other dialect."""


def chunk(event: dict[str, Any]) -> bytes:
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    data = base64.b64encode(json.dumps(event, indent=1).encode()).decode()
    return encode(headers, json.dumps({"bytes": data, "p": "abc"}).encode())


STREAM: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": {"id": "1", "model": "c", "usage": {"input_tokens": 5, "output_tokens": 1}}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5}},
)


# --- what is sent


@clouds
def test_a_caller_of_the_messages_api_loses_nothing(cloud: BedrockInvoke | AnthropicVertex) -> None:
    """What `speaks` promises: the body is the caller's own, less what travels in the address."""
    sent = {"model": "claude-x", "max_tokens": 99, "stream": True, **EXOTIC}
    fields = read_fields(json.dumps(sent).encode())
    peek = ANTHROPIC_MESSAGES.peek(fields)
    body = json.loads(cloud.patch(cloud.carry(fields, {}), peek, model="other", output_cap=7))
    kept = {name: value for name, value in sent.items() if name not in cloud.in_address}
    assert body == kept | {"max_tokens": 7, "anthropic_version": VERSIONS[cloud.name]}
    assert cloud.speaks == ANTHROPIC_MESSAGES.name
    unchanged = json.loads(cloud.patch(fields, peek, model="other", output_cap=None))
    assert unchanged["max_tokens"] == 99


def test_betas_of_a_header_travel_in_the_body_to_bedrock_each_once() -> None:
    fields = read_fields(b'{"anthropic_beta": ["a", "b"], "max_tokens": 1}')
    carried = {b"anthropic-beta": b"b, c,,a", b"anthropic-version": b"2026-10-21"}
    assert json.loads(bytes(INVOKE.carry(fields, carried)["anthropic_beta"])) == ["a", "b", "c"]
    assert json.loads(bytes(INVOKE.carry(read_fields(b'{"a": 1}'), carried)["anthropic_beta"])) == ["b", "c", "a"]
    assert "anthropic_beta" not in INVOKE.carry(read_fields(b'{"a": 1}'), {b"anthropic-version": b"2026-10-21"})
    with pytest.raises(e.InvalidRequest, match="anthropic_beta"):
        INVOKE.carry(read_fields(b'{"anthropic_beta": "a"}'), carried)


def test_a_newer_version_of_a_header_travels_in_the_body_to_vertex() -> None:
    fields = read_fields(json.dumps({"model": "m", "max_tokens": 1, **EXOTIC}).encode())
    peek = ANTHROPIC_MESSAGES.peek(fields)
    for header, version in ((b"2023-06-01", "vertex-2023-10-16"), (b"2026-10-21", "2026-10-21")):
        carried = VERTEX.carry(fields, {b"anthropic-version": header, b"anthropic-beta": b"a"})
        body = json.loads(VERTEX.patch(carried, peek, model="m", output_cap=None))
        assert body["anthropic_version"] == version
        assert "anthropic_beta" not in body
    assert VERTEX.carried_headers == (b"anthropic-beta",)


@clouds
def test_a_translated_request_is_that_of_the_messages_api_in_the_clouds_envelope(cloud: Dialect) -> None:
    request = OPENAI_CHAT.read_request(read_fields(json.dumps(OPENAI_REQUEST | {"stream": True}).encode()))
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    ours = cloud.write_request(request, model=model, output_cap=7777)
    plain = ANTHROPIC_MESSAGES.write_request(request, model=model, output_cap=7777)
    body, expected = json.loads(ours.body), json.loads(plain.body)
    assert ours.lost == plain.lost
    assert body.pop("anthropic_version") == VERSIONS[cloud.name]
    assert body | {"model": model, "stream": True} == expected
    assert ("stream" in body, "model" in body) == (
        cloud is ANTHROPIC_VERTEX or isinstance(cloud, AnthropicVertex),
        False,
    )


@clouds
def test_what_is_written_reads_as_it_was(cloud: Dialect) -> None:
    request = ANTHROPIC_MESSAGES.read_request(read_fields(json.dumps(ANTHROPIC_REQUEST).encode()))
    written = json.loads(cloud.write_request(request, model=request.model, output_cap=None).body)
    fields = read_fields(json.dumps(written | {"model": "m", "anthropic_beta": ["a"]}).encode())
    again = cloud.read_request(fields)
    plain = ANTHROPIC_MESSAGES.write_request(request, model="m", output_cap=None)
    assert again == ANTHROPIC_MESSAGES.read_request(read_fields(plain.body))
    assert cloud.peek(fields).model == "m"


def test_the_sdk_for_vertex_sends_the_same_body() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(400, json={})

    transport = httpx2.MockTransport(answer)
    with (
        anthropic.AnthropicVertex(
            access_token="none",
            project_id="p",
            region="r",
            max_retries=0,
            http_client=httpx2.Client(transport=transport),
        ) as client,
        pytest.raises(anthropic.BadRequestError),
    ):
        client.messages.create(model="claude-x", max_tokens=8, messages=ASKED, stream=True)
    plain = {"model": "claude-x", "max_tokens": 8, "messages": ASKED, "stream": True}
    fields = VERTEX.carry(read_fields(json.dumps(plain).encode()), {b"anthropic-version": b"2026-10-21"})
    ours = VERTEX.patch(fields, ANTHROPIC_MESSAGES.peek(fields), model="claude-x", output_cap=None)
    assert json.loads(ours) == json.loads(seen[0].content)
    assert seen[0].url.path.endswith("/publishers/anthropic/models/claude-x:streamRawPredict")


# --- what comes back


def test_a_stream_of_bedrock_is_the_callers_stream_however_it_is_cut() -> None:
    stream = b"".join(map(chunk, STREAM))
    expected = b"".join(
        b"event: %b\ndata: %b\n\n"
        % (event["type"].encode(), b" ".join(json.dumps(event, indent=1).encode().split(b"\n")))
        for event in STREAM
    )
    dice = random.Random(5)
    for chunks in (
        [stream],
        pieces(stream, dice.sample(range(len(stream)), 30)),
        pieces(stream, [*range(1, len(stream))]),
    ):
        tap = INVOKE.tap(hide_usage=True)
        assert b"".join(map(tap.feed, chunks)) + tap.end() == expected
        seen = tap.seen
        assert (seen.usage, seen.finish, seen.model, seen.frames, seen.done) == (Usage(5, 9), "stop", "c", 1, True)
    message = stream_in_sdk(
        expected.replace(b'"id": "1"', b'"id": "1", "type": "message", "role": "assistant", "content": []')
    )
    assert (message.usage.output_tokens, message.stop_reason) == (9, "end_turn")


@pytest.mark.parametrize(
    ("kind", "type_of_api"),
    [
        ("throttlingException", "rate_limit_error"),
        ("validationException", "invalid_request_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("modelTimeoutException", "timeout_error"),
        ("internalServerException", "api_error"),
        ("modelStreamErrorException", "api_error"),
    ],
)
def test_an_exception_is_the_error_event_of_the_messages_api(kind: str, type_of_api: str) -> None:
    stream = chunk(STREAM[0]) + encode({":message-type": "exception", ":exception-type": kind}, b'{"message": "Oops"}')
    assert events(stream)[-1] == Failed("Oops", type_of_api)
    tap = INVOKE.tap(hide_usage=False)
    relayed = tap.feed(stream)
    error = {"type": "error", "error": {"type": type_of_api, "message": "Oops"}}
    assert relayed.endswith(b"event: error\ndata: %b\n\n" % json.dumps(error, separators=(",", ":")).encode())
    assert tap.seen.failed == "Oops"


def events(stream: bytes) -> list[Event]:
    reader = INVOKE.reader()
    return reader.feed(stream) + reader.end()


@pytest.mark.parametrize("payload", [b"{}", b'{"bytes": "a"}', b'{"bytes": "e30=\\n"}', b'{"bytes": "\xc3\xa4"}', b"["])
def test_a_chunk_without_base64_is_unexpected(payload: bytes) -> None:
    with pytest.raises(e.UnexpectedResponse):
        INVOKE.reader().feed(encode({":message-type": "event", ":event-type": "chunk"}, payload))


def test_other_events_of_bedrock_are_passed_over() -> None:
    assert INVOKE.reader().feed(encode({":message-type": "event", ":event-type": "initial-response"}, b"{}")) == []


@pytest.mark.parametrize("stream", [b"", chunk(STREAM[0]), chunk(STREAM[0]) + chunk(STREAM[-1])[:-1]])
def test_a_stream_without_its_end_is_broken_off(stream: bytes) -> None:
    with pytest.raises(e.UnexpectedResponse, match="broke off"):
        events(stream)


def test_what_is_written_as_bedrock_is_read_as_bedrock() -> None:
    told: list[Event] = [Started("1", "c"), TextDelta(0, "Hé"), Metered(Usage(5, 9))]
    writer = INVOKE.writer(now=0, asks_usage=True)
    stream = b"".join(map(writer.write, told)) + writer.end()
    assert {message.event for message in MessageReader().feed(stream)} == {"chunk"}
    assert [event for event in events(stream) if event in told] == [told[0], told[1], told[2]]


@needs_recordings
def test_every_recorded_answer_of_invoke_passes_to_a_caller_of_the_messages_api_untouched() -> None:
    found = [each for each in recordings("/invoke", kind="json") if b'"type":"message"' in each.body.replace(b" ", b"")]
    assert len(found) >= 19
    for recording in found:
        seen, plain = INVOKE.read_seen(recording.body), ANTHROPIC_MESSAGES.read_seen(recording.body)
        assert seen == plain
        assert seen.usage is not None, recording.id


# --- errors


def test_errors_of_each_cloud_are_sorted_and_never_relayed_as_they_are() -> None:
    google = b'{"error": {"code": 404, "message": "Publisher Model `x` not found.", "status": "NOT_FOUND"}}'
    theirs = b'{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}}'
    expected = [
        (VERTEX.read_error("Vertex AI", 404, google), e.ModelNotAvailable),
        (VERTEX.read_error("Vertex AI", 400, theirs), e.ContextOverflow),
        (VERTEX.read_error("Vertex AI", 401, b'{"error": {"status": "UNAUTHENTICATED"}}'), e.InvalidCredentials),
        (
            INVOKE.read_error("Bedrock", 400, b'{"message": "Input is too long for requested model."}'),
            e.ContextOverflow,
        ),
        (INVOKE.read_error("Bedrock", 429, b'{"message": "Too many requests"}'), e.ProviderRateLimited),
    ]
    assert all(type(error) is kind for error, kind in expected)
    assert all(error.verbatim == b"" for error, _ in expected)


def test_errors_of_ours_have_the_shape_of_each_cloud() -> None:
    error = e.ProviderRateLimited("Slow down.")
    assert json.loads(INVOKE.write_error(error, "r"))["message"] == "Slow down."
    assert json.loads(ANTHROPIC_VERTEX.write_error(error, "r"))["error"]["type"] == "rate_limit_error"
    assert BEDROCK_INVOKE.stream_type == b"application/vnd.amazon.eventstream"
    assert ANTHROPIC_VERTEX.stream_type == ANTHROPIC_MESSAGES.stream_type
