"""OpenAI Responses against the recorded traffic of every provider that speaks them."""

import json
import random
from typing import Any

import msgspec
import pytest

from dominion.domain.errors import (
    DominionError,
    InvalidCredentials,
    InvalidRequest,
    ModelNotAvailable,
    ProviderQuota,
    ProviderRefused,
    UnexpectedResponse,
)
from dominion.domain.messages import (
    Event,
    Failed,
    Metered,
    Request,
    Started,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.domain.usage import Usage
from dominion.wire.fields import read_fields
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES as DIALECT
from tests.wire.openai_oracle import check_answer, check_stream
from tests.wire.recordings import Recording, needs_recordings, pieces, providers_with, recordings

TAIL = "/responses"
PROVIDERS = providers_with(TAIL)
STREAMED = providers_with(TAIL, kind="sse")
CUT_BY_HAND = ("openai-phase.1.chunks.txt#0", "openai-shell-container.1.chunks.txt#0")
"""Vercel's fixtures whose deltas were left out, but not the same text in the closing event."""

pytestmark = needs_recordings


def streams(provider: str) -> list[Recording]:
    return recordings(TAIL, provider=provider, kind="sse")


def answers(provider: str) -> list[Recording]:
    """Whole answers, without those that only say that the answer will come (background mode)."""
    found = [one for one in recordings(TAIL, provider=provider, kind="json") if one.status == 200]
    return [one for one in found if json.loads(one.body)["status"] != "queued"]


def events_of(chunks: list[bytes]) -> list[Event]:
    reader = DIALECT.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def cuts(one: Recording) -> list[int]:
    """Some places to cut it at, the same ones in each run."""
    return random.Random(one.id).choices(range(len(one.body) + 1), k=40)


def told(body: bytes) -> list[dict[str, Any]]:
    """The events of the first answer in a stream, read by the plainest means."""
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    found = [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]
    events = [json.loads(line) for line in found if line != b"[DONE]"]
    ends = ("response.completed", "response.incomplete", "response.failed", "error")
    last = next(place for place, event in enumerate(events) if event["type"] in ends)
    return events[: last + 1]


def usage_of(events: list[Event]) -> Usage | None:
    return next((event.usage for event in reversed(events) if isinstance(event, Metered)), None)


@pytest.mark.parametrize("provider", STREAMED)
def test_a_stream_tells_what_its_last_event_says_the_answer_was(provider: str) -> None:
    """Text, calls and usage collected from deltas are those of the whole answer in the provider's closing event."""
    for one in streams(provider):
        last = told(one.body)[-1]
        events = events_of([one.body])
        if last["type"] == "error":
            assert isinstance(events[-1], Failed), one.id
            continue
        whole = DIALECT.read_answer(json.dumps(last["response"]).encode())
        assert usage_of(events) == whole.usage, one.id
        if one.id.endswith(CUT_BY_HAND):
            continue
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert text == "".join(part.text for part in whole.parts if isinstance(part, Text)), one.id
        calls = [event.id for event in events if isinstance(event, ToolCallDelta) and event.id]
        assert calls == [part.id for part in whole.parts if isinstance(part, ToolCall)], one.id
        arguments = "".join(event.arguments for event in events if isinstance(event, ToolCallDelta))
        assert arguments == "".join(part.arguments for part in whole.parts if isinstance(part, ToolCall)), one.id


@pytest.mark.parametrize("provider", STREAMED)
def test_a_tap_relays_every_byte_and_sees_what_a_reader_reads(provider: str) -> None:
    for one in streams(provider):
        tap = DIALECT.tap(hide_usage=True)
        chunks = pieces(one.body, cuts(one))
        assert [tap.feed(chunk) for chunk in chunks] == chunks
        assert tap.end() == b""
        events = events_of([one.body])
        assert tap.seen.usage == usage_of(events), one.id
        assert tap.seen.done or tap.seen.failed, one.id
        assert bool(tap.seen.failed) == any(isinstance(event, Failed) for event in events), one.id
        texts = [event for event in events if isinstance(event, TextDelta | ThinkingDelta)]
        assert tap.seen.frames >= sum(bool(event.text) for event in texts), one.id
        assert tap.seen.model == (events[0].model if isinstance(events[0], Started) else ""), one.id


@pytest.mark.parametrize("provider", STREAMED)
def test_the_sdk_knows_every_event_of_a_stream_that_is_written_again(provider: str) -> None:
    for one in streams(provider):
        writer = DIALECT.writer(now=7, asks_usage=True)
        check_stream(b"".join([writer.write(event) for event in events_of([one.body])]) + writer.end())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_sdk_knows_an_answer_that_is_written_again(provider: str) -> None:
    for one in answers(provider):
        answer = DIALECT.read_answer(one.body)
        check_answer(DIALECT.write_answer(answer, now=7))
        assert DIALECT.read_seen(one.body).finish == answer.finish, one.id


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_recorded_request_is_peeked_patched_read_and_written(provider: str) -> None:
    for one in recordings(TAIL, provider=provider):
        if one.request is None or not one.request.get("model"):  # a stored prompt may name the model
            continue
        fields = read_fields(json.dumps(one.request).encode())
        if one.request.get("background"):
            with pytest.raises(InvalidRequest, match="background"):
                DIALECT.peek(fields)
            continue
        if one.request.get("temperature", 0) < 0:
            with pytest.raises(InvalidRequest, match="temperature"):
                DIALECT.peek(fields)
            continue
        patched = json.loads(DIALECT.patch(fields, DIALECT.peek(fields), model="other", output_cap=99))
        assert patched == one.request | {"model": "other", "max_output_tokens": 99}, one.id
        if any(one.request.get(name) for name in ("previous_response_id", "conversation", "prompt")):
            with pytest.raises(InvalidRequest, match="keeps"):
                DIALECT.read_request(fields)
            continue
        request = DIALECT.read_request(fields)
        written = DIALECT.write_request(request, model=request.model, output_cap=None)
        assert set(request.unread) <= set(written.lost), one.id
        once = DIALECT.read_request(read_fields(written.body))
        assert kept(once) == kept(request), one.id


def kept(request: Request) -> Request:
    """What must survive: all but what was named as lost; a tool that does not say whether it is strict is
    not, and there is nothing to choose without tools."""
    tools = tuple(msgspec.structs.replace(tool, strict=bool(tool.strict)) for tool in request.tools)
    return msgspec.structs.replace(request, unread=(), tools=tools, tool_choice=request.tool_choice if tools else None)


def test_recorded_errors_are_sorted() -> None:
    sorts: dict[type[DominionError], int] = {}
    for one in recordings(TAIL):
        if one.status >= 400:
            kind = type(DIALECT.read_error(one.provider, one.status, one.body))
            sorts[kind] = sorts.get(kind, 0) + 1
    assert sorts == {InvalidCredentials: 1, ModelNotAvailable: 3, ProviderQuota: 1, ProviderRefused: 8}


def test_an_answer_that_is_yet_to_come_is_none() -> None:
    queued = [one for one in recordings(TAIL, provider="openai", kind="json") if b'"queued"' in one.body]
    assert queued
    for one in queued:
        with pytest.raises(UnexpectedResponse):
            DIALECT.read_answer(one.body)
