"""Bedrock's Converse and Invoke against what real servers said (../shared/recordings)."""

import json

from dominion.domain.contracts import Dialect
from dominion.domain.errors import InvalidCredentials, ModelNotAvailable, ProviderRefused
from dominion.wire.anthropic_cloud import BEDROCK_INVOKE
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE
from dominion.wire.fields import read_fields
from tests.wire.recordings import Recording, needs_recordings, recordings

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


def fields_of(recording: Recording) -> dict[str, object]:
    """The request with what stood in its address."""
    model = recording.path.split("/")[2].replace("%3A", ":").replace("%2F", "/")
    return {"model": model, "stream": recording.path.endswith("stream"), **(recording.request or {})}


def test_every_recording_is_used() -> None:
    streams, answers = recorded("eventstream"), recorded("json")
    assert (len(streams), len(answers)) == (53, 271)


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
