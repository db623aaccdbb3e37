"""The Anthropic Messages API against what real servers said (../shared/recordings)."""

import json

from dominion.domain.errors import InvalidCredentials, ModelNotAvailable, ProviderError, ProviderRefused
from dominion.domain.messages import Event
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES as DIALECT
from dominion.wire.fields import read_fields
from tests.wire.anthropic_oracle import stream_in_sdk
from tests.wire.recordings import Recording, needs_recordings, providers_with, recordings

pytestmark = needs_recordings


def recorded(kind: str) -> list[Recording]:
    found = [
        recording
        for provider in providers_with("v1/messages")
        for recording in recordings("v1/messages", provider=provider, kind=kind)
        if recording.status < 400
    ]
    assert len(found) > 100
    return found


def begins_once(recording: Recording) -> bool:
    """Some fixtures of Vercel's hold several answers in a row, or the beginning of one twice."""
    return recording.body.count(b'"message_start"') == 1


def events(chunks: list[bytes]) -> list[Event]:
    reader = DIALECT.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def test_every_recorded_stream_comes_out_of_our_writer_as_the_sdk_reads_it() -> None:
    """Written from our events and read by the vendor's SDK: the same text, thinking and calls as in the original."""
    ours = ("text", "thinking", "redacted_thinking", "tool_use")
    for recording in filter(begins_once, recorded("sse")):
        writer = DIALECT.writer(now=0, asks_usage=True)
        again = b"".join(map(writer.write, events([recording.body]))) + writer.end()
        original, copy = stream_in_sdk(recording.body), stream_in_sdk(again)
        expected = [
            part.model_dump(exclude={"citations", "caller", "parsed_output"})
            for part in original.content
            if part.type in ours and (part.type != "text" or part.text)
        ]
        found = [part.model_dump(exclude={"citations", "caller", "parsed_output"}) for part in copy.content]
        assert found == expected, recording.id
        assert (copy.id, copy.stop_reason) == (original.id, original.stop_reason), recording.id


def test_every_recorded_request_is_read_and_written_again() -> None:
    """Blocks that only Anthropic takes are gone then, and named; what is left reads as it was written."""
    for recording in [*recorded("json"), *recorded("sse")]:
        if recording.request is None:
            continue
        request = DIALECT.read_request(read_fields(json.dumps(recording.request).encode()))
        written = DIALECT.write_request(request, model=request.model, output_cap=None)
        assert set(request.unread) <= set(written.lost), recording.id
        once = DIALECT.read_request(read_fields(written.body))
        twice = DIALECT.write_request(once, model=once.model, output_cap=None)
        assert twice.body == written.body, recording.id


def test_every_recorded_request_is_patched_in_two_places_only() -> None:
    for recording in recorded("json"):
        if recording.request is None:
            continue
        fields = read_fields(json.dumps(recording.request).encode())
        patched = json.loads(DIALECT.patch(fields, DIALECT.peek(fields), model="other", output_cap=90_000))
        assert patched == recording.request | {"model": "other", "max_tokens": 90_000}, recording.id


def test_every_recorded_error_is_sorted() -> None:
    found = [
        (recording.status, DIALECT.read_error("Anthropic", recording.status, recording.body))
        for provider in providers_with("v1/messages")
        for recording in recordings("v1/messages", "count_tokens", provider=provider)
        if recording.status >= 400
    ]
    expected: dict[int, type[ProviderError]] = {401: InvalidCredentials, 404: ModelNotAvailable, 400: ProviderRefused}
    assert len(found) >= 9
    assert all(type(error) is expected[status] for status, error in found)
