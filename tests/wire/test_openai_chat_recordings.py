"""OpenAI chat completions against the recorded traffic of every provider that speaks them."""

import json
import random
from typing import Any

import msgspec
import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import extract_usage

from dominion.domain.errors import (
    InvalidCredentials,
    InvalidRequest,
    ModelNotAvailable,
    ProviderError,
    UnexpectedResponse,
)
from dominion.domain.messages import Answer, Event, Failed, Finished, Metered, TextDelta, ToolCall, ToolCallDelta
from dominion.domain.usage import Usage
from dominion.wire.fields import read_fields
from dominion.wire.openai_chat import OPENAI_CHAT
from tests.wire.recordings import Recording, needs_recordings, pieces, providers_with, recordings

TAIL = "chat/completions"
PROVIDERS = providers_with(TAIL)
STREAMED = providers_with(TAIL, kind="sse")
SMALL = 20_000
BYTE_BY_BYTE = 4

pytestmark = needs_recordings


def streams(provider: str) -> list[Recording]:
    return recordings(TAIL, provider=provider, kind="sse")


def answers(provider: str) -> list[Recording]:
    return [one for one in recordings(TAIL, provider=provider, kind="json") if one.status == 200]


def events_of(chunks: list[bytes]) -> list[Event]:
    reader = OPENAI_CHAT.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def cuts(one: Recording) -> list[int]:
    """Some places to cut it at, the same ones in each run."""
    return random.Random(one.id).choices(range(len(one.body) + 1), k=min(40, len(one.body) // 10))


def told(body: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream, read by the plainest means."""
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    found = [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]
    return [json.loads(line) for line in found if line != b"[DONE]"]


def text_of(chunks: list[dict[str, Any]]) -> str:
    deltas = [choice.get("delta") or {} for chunk in chunks for choice in chunk.get("choices") or ()]
    return "".join(content for delta in deltas if isinstance(content := delta.get("content"), str))


@pytest.mark.parametrize("provider", STREAMED)
def test_a_stream_gives_the_same_events_however_it_is_cut(provider: str) -> None:
    small = 0
    for one in streams(provider):
        events = events_of([one.body])
        assert events_of(pieces(one.body, cuts(one))) == events, one.id
        if len(one.body) <= SMALL and small < BYTE_BY_BYTE:
            small += 1
            assert events_of([bytes([byte]) for byte in one.body]) == events, one.id


@pytest.mark.parametrize("provider", STREAMED)
def test_the_text_of_a_stream_is_the_provider_s(provider: str) -> None:
    for one in streams(provider):
        text = "".join(event.text for event in events_of([one.body]) if isinstance(event, TextDelta))
        plain = text_of(told(one.body))
        assert text.startswith(plain), one.id
        assert plain or not text or provider == "mistral", one.id  # Mistral's reasoning streams have lists as content


@pytest.mark.parametrize("provider", STREAMED)
def test_a_tap_relays_every_byte_and_sees_what_a_reader_reads(provider: str) -> None:
    for one in streams(provider):
        tap = OPENAI_CHAT.tap(hide_usage=False)
        chunks = pieces(one.body, cuts(one))
        assert [tap.feed(chunk) for chunk in chunks] == chunks
        assert tap.end() == b""
        assert tap.seen.usage == last_usage(events_of([one.body])), one.id
        assert tap.seen.done or tap.seen.finish or tap.seen.failed, one.id


@pytest.mark.parametrize("provider", STREAMED)
def test_a_hiding_tap_takes_out_the_usage_frame_only(provider: str) -> None:
    for one in streams(provider):
        tap = OPENAI_CHAT.tap(hide_usage=True)
        relayed = b"".join([tap.feed(chunk) for chunk in pieces(one.body, cuts(one))]) + tap.end()
        expected = [
            chunk for chunk in told(one.body) if chunk.get("choices") or not chunk.get("usage") or "error" in chunk
        ]
        assert told(relayed) == expected, one.id
        if len(expected) == len(told(one.body)):
            assert relayed == one.body, one.id


@pytest.mark.parametrize("provider", STREAMED)
def test_a_stream_survives_writing_and_reading(provider: str) -> None:
    for one in streams(provider):
        events = events_of([one.body])
        writer = OPENAI_CHAT.writer(now=7, asks_usage=True)
        body = b"".join([writer.write(event) for event in events]) + writer.end()
        again = events_of([body])
        assert settled(again) == settled(events), one.id
        if not isinstance(events[-1], Failed):  # nothing is read after a failure
            assert last_usage(again) == last_usage(events), one.id


def settled(events: list[Event]) -> list[Event]:
    """Events without what a writer may add (empty arguments) or gather (usage, which comes once, at the end)."""
    added = [ToolCallDelta(event.part, "{}") for event in events if isinstance(event, ToolCallDelta)]
    return [event for event in events if not isinstance(event, Metered) and event not in added]


def last_usage(events: list[Event]) -> Usage | None:
    return next((event.usage for event in reversed(events) if isinstance(event, Metered)), None)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_survives_writing_and_reading(provider: str) -> None:
    for one in answers(provider):
        body = json.loads(one.body)
        if "error" in body:
            with pytest.raises(UnexpectedResponse):
                OPENAI_CHAT.read_answer(one.body)
            continue
        if len(body["choices"]) > 1:  # asked for with n, which the gateway never does in a translation
            continue
        answer = OPENAI_CHAT.read_answer(one.body)
        assert OPENAI_CHAT.read_answer(OPENAI_CHAT.write_answer(answer, now=7)) == with_arguments(answer), one.id
        assert OPENAI_CHAT.read_seen(one.body).usage == answer.usage, one.id


def with_arguments(answer: Answer) -> Answer:
    """A call without arguments is written with an empty object."""
    parts = [
        msgspec.structs.replace(part, arguments=part.arguments or "{}") if isinstance(part, ToolCall) else part
        for part in answer.parts
    ]
    return msgspec.structs.replace(answer, parts=tuple(parts))


@pytest.mark.parametrize(
    "provider", ["azure", "cerebras", "deepseek", "groq", "mistral", "openai", "openrouter", "perplexity", "xai", "zai"]
)
def test_usage_is_what_genai_prices_reads(provider: str) -> None:
    compared = 0
    for one in answers(provider):
        theirs, ours = their_usage(provider, json.loads(one.body)), OPENAI_CHAT.read_seen(one.body).usage
        if theirs is None:
            continue
        assert ours is not None
        assert (ours.input_tokens, ours.output_tokens) == (theirs.input_tokens, theirs.output_tokens), one.id
        assert ours.cache_read_tokens == (theirs.cache_read_tokens or 0), one.id
        writes, room = theirs.cache_write_tokens or 0, ours.input_tokens - ours.cache_read_tokens
        assert ours.cache_write_tokens == min(writes, room), (
            one.id
        )  # OpenRouter can count one token as read and written
        compared += 1
    assert compared


def their_usage(provider: str, body: dict[str, Any]) -> TheirUsage | None:
    """None for models that genai-prices does not know, and for Mistral's cached tokens, which it does not read."""
    if "error" in body or "num_cached_tokens" in body["usage"]:
        return None
    flavor = "default" if provider in {"groq", "mistral", "perplexity"} else "chat"
    try:
        return extract_usage(body, provider_id="x-ai" if provider == "xai" else provider, api_flavor=flavor).usage
    except LookupError:
        return None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_recorded_request_is_peeked_read_and_written(provider: str) -> None:
    for one in recordings(TAIL, provider=provider):
        if one.request is None or not one.request.get("model"):  # Azure names the model in the path
            continue
        body = json.dumps(one.request).encode()
        fields = read_fields(body)
        try:
            peek = OPENAI_CHAT.peek(fields)
            request = OPENAI_CHAT.read_request(fields)
        except InvalidRequest:
            assert one.status >= 400, one.id
            continue
        assert json.loads(OPENAI_CHAT.patch(fields, peek, model="other", output_cap=None))["model"] == "other"
        written = OPENAI_CHAT.write_request(request, model=request.model, output_cap=None)
        again = OPENAI_CHAT.read_request(read_fields(written.body))
        if not written.lost:
            assert again == request, one.id


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_recorded_error_is_sorted(provider: str) -> None:
    for one in recordings(TAIL, provider=provider):
        if one.status < 400:
            continue
        error = OPENAI_CHAT.read_error(provider, one.status, one.body)
        assert isinstance(error, ProviderError)
        assert not isinstance(error, UnexpectedResponse), one.id
        assert isinstance(error, InvalidCredentials) == (one.status == 401), one.id
        assert isinstance(error, ModelNotAvailable) == (one.status == 404), one.id


def test_every_stream_finishes_or_fails() -> None:
    for one in recordings(TAIL, kind="sse"):
        assert any(isinstance(event, Finished | Failed) for event in events_of([one.body])), one.id
