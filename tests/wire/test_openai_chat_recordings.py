"""OpenAI chat completions against the recorded traffic of every provider that speaks them."""

import json
import random
from typing import Any

import pytest

from dominion.domain.errors import (
    InvalidCredentials,
    InvalidRequest,
    ModelNotAvailable,
    ProviderError,
    UnexpectedResponse,
)
from dominion.domain.messages import TextDelta
from dominion.wire.fields import read_fields
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.wire.recordings import Recording, needs_recordings, pieces, providers_with, recordings
from tests.wire.replay import events_of

TAIL = "chat/completions"
PROVIDERS = providers_with(TAIL)
STREAMED = providers_with(TAIL, kind="sse")

pytestmark = needs_recordings


def streams(provider: str) -> list[Recording]:
    return recordings(TAIL, provider=provider, kind="sse")


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
def test_the_text_of_a_stream_is_the_provider_s(provider: str) -> None:
    for one in streams(provider):
        text = "".join(event.text for event in events_of(OPENAI_CHAT, [one.body]) if isinstance(event, TextDelta))
        plain = text_of(told(one.body))
        assert text.startswith(plain), one.id
        assert plain or not text or provider == "mistral", one.id  # Mistral's reasoning streams have lists as content


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


def test_an_error_that_came_as_an_answer_is_no_answer() -> None:
    found = [one for one in recordings(TAIL, kind="json") if one.status == 200 and "error" in json.loads(one.body)]
    assert found
    for one in found:
        with pytest.raises(UnexpectedResponse):
            OPENAI_CHAT.read_answer(one.body)
