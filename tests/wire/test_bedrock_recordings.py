"""Bedrock's Converse and Invoke against what real servers said (../shared/recordings)."""

import json
import random
from decimal import Decimal

import genai_prices

from dominion.domain.contracts import Dialect
from dominion.domain.errors import InvalidCredentials, ModelNotAvailable, ProviderRefused
from dominion.domain.messages import Event, Failed, Finished, Metered, Started
from dominion.domain.usage import Usage
from dominion.wire.anthropic_cloud import BEDROCK_INVOKE
from dominion.wire.anthropic_messages import ANTHROPIC_MESSAGES
from dominion.wire.bedrock_converse import BEDROCK_CONVERSE
from dominion.wire.fields import read_fields
from tests.wire.recordings import Recording, needs_recordings, pieces, recordings

pytestmark = needs_recordings

CONVERSE = ("/converse", "/converse-stream")
INVOKE = ("/invoke", "/invoke-with-response-stream")


def recorded(kind: str, *, dialect: Dialect | None = None) -> list[tuple[Dialect, Recording]]:
    """Answers of status 200, each with its dialect."""
    converse = [(BEDROCK_CONVERSE, found) for found in recordings(*CONVERSE, kind=kind)]
    claudes = [(BEDROCK_INVOKE, found) for found in recordings(*INVOKE, kind=kind) if speaks_messages(found)]
    both = [pair for pair in (*converse, *claudes) if pair[1].status == 200]
    return [pair for pair in both if dialect in (None, pair[0])]


def speaks_messages(recording: Recording) -> bool:
    """Claude's former API of one prompt is none of ours."""
    return "anthropic" in recording.path and recording.request is not None and "messages" in recording.request


def events(dialect: Dialect, chunks: list[bytes]) -> list[Event]:
    reader = dialect.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def cuts(body: bytes, seed: int) -> list[int]:
    return random.Random(seed).sample(range(len(body)), min(len(body) - 1, 40))


def fields_of(recording: Recording) -> dict[str, object]:
    """The request with what stood in its address."""
    model = recording.path.split("/")[2].replace("%3A", ":").replace("%2F", "/")
    return {"model": model, "stream": recording.path.endswith("stream"), **(recording.request or {})}


def test_every_recording_is_used() -> None:
    streams, answers = recorded("eventstream"), recorded("json")
    assert (len(streams), len(answers)) == (53, 271)


def test_every_recorded_stream_reads_the_same_whole_in_pieces_and_byte_by_byte() -> None:
    for dialect, recording in recorded("eventstream"):
        whole = events(dialect, [recording.body])
        assert whole == events(dialect, pieces(recording.body, cuts(recording.body, 7))), recording.id
        assert whole == events(dialect, pieces(recording.body, list(range(1, len(recording.body))))), recording.id
        assert sum(isinstance(event, Finished) for event in whole) == 1, recording.id
        assert not any(isinstance(event, Failed) for event in whole), recording.id
        assert "rebuilt" in recording.features or isinstance(whole[0], Started), recording.id


def test_every_recorded_stream_of_converse_is_relayed_to_the_byte_and_metered_alike() -> None:
    for dialect, recording in recorded("eventstream", dialect=BEDROCK_CONVERSE):
        metered = [event.usage for event in events(dialect, [recording.body]) if isinstance(event, Metered)]
        assert metered or "rebuilt" in recording.features, recording.id
        for chunks in ([recording.body], pieces(recording.body, cuts(recording.body, 8))):
            tap = dialect.tap(hide_usage=True)
            assert b"".join(map(tap.feed, chunks)) + tap.end() == recording.body, recording.id
            assert tap.seen.usage == (metered[-1] if metered else None), recording.id
            assert tap.seen.done == bool(metered), recording.id
            assert tap.seen.frames > 0, recording.id


def test_every_recorded_stream_of_invoke_reaches_a_caller_of_the_messages_api_as_its_own_stream() -> None:
    """The tap takes the events out of their envelopes: as such they read the same, and are metered the same."""
    for dialect, recording in recorded("eventstream", dialect=BEDROCK_INVOKE):
        expected = events(dialect, [recording.body])
        for chunks in ([recording.body], pieces(recording.body, cuts(recording.body, 8))):
            tap = dialect.tap(hide_usage=False)
            relayed = b"".join(map(tap.feed, chunks)) + tap.end()
            assert events(ANTHROPIC_MESSAGES, [relayed]) == expected, recording.id
            assert relayed.count(b"event: message_stop\n") == 1, recording.id
            assert tap.seen.done, recording.id
            assert tap.seen.usage == [event.usage for event in expected if isinstance(event, Metered)][-1], recording.id


def test_every_recorded_stream_survives_reading_writing_and_reading() -> None:
    for dialect, recording in recorded("eventstream"):
        whole = events(dialect, [recording.body])
        writer = dialect.writer(now=0, asks_usage=True)
        again = events(dialect, [b"".join(map(writer.write, whole)) + writer.end()])
        assert content(again) == content(whole), recording.id
        assert used(again) == (used(whole) or Usage()), recording.id


def content(told: list[Event]) -> list[Event]:
    return [event for event in told if not isinstance(event, Metered | Started)]


def used(told: list[Event]) -> Usage | None:
    return next((event.usage for event in reversed(told) if isinstance(event, Metered)), None)


def test_every_recorded_answer_survives_reading_writing_and_reading() -> None:
    for dialect, recording in recorded("json"):
        answer = dialect.read_answer(recording.body)
        assert dialect.read_answer(dialect.write_answer(answer, now=0)) == answer, recording.id
        seen = dialect.read_seen(recording.body)
        assert (seen.usage, seen.finish, seen.model) == (answer.usage, answer.finish, answer.model), recording.id


def test_every_recorded_answer_is_metered_as_the_independent_meter_does() -> None:
    for dialect, recording in recorded("json"):
        flavor = "default" if dialect is BEDROCK_CONVERSE else "anthropic"
        told = json.loads(recording.body)
        assert counts(dialect.read_answer(recording.body).usage) == counts_of_meter(told, flavor), recording.id


def test_every_recorded_stream_of_converse_is_metered_as_the_independent_meter_does() -> None:
    """The last message of a stream holds the `usage` that a whole answer has."""
    compared = 0
    for dialect, recording in recorded("eventstream", dialect=BEDROCK_CONVERSE):
        metadata = recording.body.rfind(b'{"metrics"')
        usage = used(events(dialect, [recording.body]))
        if metadata < 0 or usage is None:
            continue
        told, _ = json.JSONDecoder().raw_decode(recording.body[metadata:].decode(errors="replace"))
        assert counts(usage) == counts_of_meter(told, "default"), recording.id
        compared += 1
    assert compared >= 30


def counts(usage: Usage | None) -> tuple[int, int, int, int]:
    assert usage is not None
    return usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens


def counts_of_meter(told: object, flavor: str) -> tuple[float | Decimal, ...]:
    provider = "aws" if flavor == "default" else "anthropic"
    theirs = genai_prices.extract_usage(told, provider_id=provider).usage
    known = (theirs.input_tokens, theirs.output_tokens, theirs.cache_read_tokens, theirs.cache_write_tokens)
    return tuple(count or 0 for count in known)


def test_every_recorded_request_is_read_and_written_again() -> None:
    """Blocks without a place elsewhere are gone then, and named; what is left reads as it was written."""
    for dialect, recording in [*recorded("json"), *recorded("eventstream")]:
        if recording.request is None:
            continue
        in_address = {name: fields_of(recording)[name] for name in ("model", "stream")}
        request = dialect.read_request(read_fields(json.dumps(fields_of(recording) | caps(dialect)).encode()))
        written = dialect.write_request(request, model=request.model, output_cap=None)
        assert set(request.unread) <= set(written.lost), recording.id
        body = json.loads(written.body)
        assert not body.keys() & in_address.keys(), recording.id
        once = dialect.read_request(read_fields(json.dumps(body | in_address).encode()))
        twice = dialect.write_request(once, model=once.model, output_cap=None)
        assert twice.body == written.body, recording.id


def caps(dialect: Dialect) -> dict[str, int]:
    return {} if dialect is BEDROCK_CONVERSE else {"max_tokens": 4096}


def test_every_recorded_request_is_patched_in_one_place_only() -> None:
    for dialect, recording in [*recorded("json"), *recorded("eventstream")]:
        if recording.request is None:
            continue
        fields = read_fields(json.dumps(caps(dialect) | fields_of(recording)).encode())
        patched = json.loads(dialect.patch(fields, dialect.peek(fields), model="other", output_cap=1))
        if dialect is BEDROCK_CONVERSE:
            config = {**recording.request.get("inferenceConfig", {}), "maxTokens": 1}
            assert patched == recording.request | {"inferenceConfig": config}, recording.id
        else:
            assert patched == recording.request | {"max_tokens": 1}, recording.id


def test_every_recorded_error_is_sorted() -> None:
    found = [recording for recording in recordings(*CONVERSE, *INVOKE) if recording.status >= 400]
    assert len(found) == 18
    for recording in found:
        error = BEDROCK_CONVERSE.read_error("Amazon Bedrock", recording.status, recording.body)
        if recording.status == 403:
            assert type(error) is InvalidCredentials, recording.id
        elif b"model identifier is invalid" in recording.body:
            assert type(error) is ModelNotAvailable, recording.id
        else:
            assert type(error) is ProviderRefused, recording.id
        assert error.status == recording.status
        assert error.verbatim == b""
