"""The Anthropic Messages API against what real servers said (../shared/recordings)."""

import json
import random

import genai_prices

from dominion.domain.errors import InvalidCredentials, ModelNotAvailable, ProviderError, ProviderRefused
from dominion.domain.messages import Event, Finished, Metered, Started
from dominion.wire.anthropic_messages import ANTHROPIC_MESSAGES as DIALECT
from dominion.wire.fields import read_fields
from tests.wire.anthropic_oracle import stream_in_sdk
from tests.wire.recordings import Recording, needs_recordings, pieces, providers_with, recordings

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


def cuts(body: bytes, seed: int) -> list[int]:
    return random.Random(seed).sample(range(len(body)), min(len(body) - 1, 40))


def test_every_recorded_stream_reads_the_same_whole_in_pieces_and_byte_by_byte() -> None:
    for recording in recorded("sse"):
        whole = events([recording.body])
        assert whole == events(pieces(recording.body, cuts(recording.body, 7))), recording.id
        assert whole == events(pieces(recording.body, list(range(1, len(recording.body))))), recording.id
        assert isinstance(whole[0], Started), recording.id
        assert not begins_once(recording) or sum(isinstance(event, Finished) for event in whole) == 1, recording.id


def test_every_recorded_stream_is_relayed_to_the_byte_and_metered_alike() -> None:
    for recording in recorded("sse"):
        metered = [event.usage for event in events([recording.body]) if isinstance(event, Metered)]
        for chunks in ([recording.body], pieces(recording.body, cuts(recording.body, 8))):
            tap = DIALECT.tap(hide_usage=True)
            assert b"".join(map(tap.feed, chunks)) + tap.end() == recording.body, recording.id
            assert tap.seen.usage == metered[-1], recording.id
            assert tap.seen.done, recording.id
            assert 0 <= tap.seen.frames <= recording.body.count(b'"content_block_delta"'), recording.id


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


def test_every_recorded_answer_survives_reading_writing_and_reading() -> None:
    for recording in recorded("json"):
        answer = DIALECT.read_answer(recording.body)
        assert DIALECT.read_answer(DIALECT.write_answer(answer, now=0)) == answer, recording.id
        seen = DIALECT.read_seen(recording.body)
        assert (seen.usage, seen.finish, seen.model) == (answer.usage, answer.finish, answer.model), recording.id


def test_every_recorded_answer_is_metered_as_the_independent_meter_does() -> None:
    """genai-prices reads the top level of `usage`; what compactions and advisors used is told apart from it."""
    compared = 0
    for recording in recorded("json"):
        told = json.loads(recording.body)
        if any(entry["type"] in ("compaction", "advisor_message") for entry in told["usage"].get("iterations") or ()):
            continue
        theirs = genai_prices.extract_usage(told, provider_id="anthropic").usage
        ours = DIALECT.read_answer(recording.body).usage
        assert ours is not None
        assert (ours.input_tokens, ours.output_tokens) == (theirs.input_tokens, theirs.output_tokens), recording.id
        assert ours.cache_read_tokens == (theirs.cache_read_tokens or 0), recording.id
        assert ours.cache_write_tokens == (theirs.cache_write_tokens or 0), recording.id
        compared += 1
    assert compared > 300


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
