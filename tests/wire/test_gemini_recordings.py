"""The Gemini API against what AI Studio and Vertex said (../shared/recordings)."""

import json
import random
import re
from typing import Any

import msgspec
import pytest

from dominion.domain.contracts import Fields
from dominion.domain.errors import InvalidRequest, ModelNotAvailable, ProviderRateLimited, ProviderRefused
from dominion.domain.messages import Event, Metered, Text, TextDelta, ToolCallDelta
from dominion.wire.fields import read_fields
from dominion.wire.gemini.count import read_count_answer, read_count_request
from dominion.wire.gemini.dialect import GEMINI as DIALECT
from dominion.wire.gemini.stream import ArrayWriter
from tests.wire.gemini_door import fields_of
from tests.wire.recordings import Recording, needs_recordings, pieces, recordings

pytestmark = needs_recordings

WHOLE, STREAMED = "generateContent", "streamGenerateContent"


def recorded(tail: str) -> list[Recording]:
    found = [
        one
        for provider in ("gemini", "vertex", "local")
        for one in recordings(f":{tail}", provider=provider)
        if one.status == 200
    ]
    assert len(found) >= {WHOLE: 435, STREAMED: 46, "countTokens": 4}[tail]
    return found


def chunks_of(one: Recording) -> list[dict[str, Any]]:
    """The chunks of a stream, read by the plainest means."""
    if one.kind == "json":
        array: list[dict[str, Any]] = json.loads(one.body)
        return array
    lines = one.body.replace(b"\r\n", b"\n").split(b"\n")
    return [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]


def stream_of(one: Recording) -> bytes:
    """The bytes of a stream; arrays, which the gateway never asks for, as what `alt=sse` would have brought."""
    if one.kind == "sse":
        return one.body
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(chunk).encode() for chunk in chunks_of(one))


def events(chunks: list[bytes]) -> list[Event]:
    reader = DIALECT.reader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()


def cuts(one: Recording, body: bytes) -> list[int]:
    return random.Random(one.id).sample(range(len(body)), min(len(body) - 1, 40))


def gathered(read: list[Event]) -> list[Event]:
    """Events as a writer gives them back: calls whole, counts apart."""
    whole: list[Event] = []
    for event in read:
        last = whole[-1] if whole else None
        if isinstance(event, ToolCallDelta) and isinstance(last, ToolCallDelta) and event.part == last.part:
            whole[-1] = msgspec.structs.replace(last, arguments=last.arguments + event.arguments)
        elif not isinstance(event, Metered):
            whole.append(event)
    return whole


def request_fields(one: Recording, body: dict[str, Any]) -> Fields:
    found = re.search(r"models/([^:]+):(\w+)", one.path)
    assert found is not None
    return fields_of(body, model=found[1], stream=found[2] == STREAMED)


def test_every_recorded_stream_tells_the_provider_s_text_and_calls() -> None:
    for one in recorded(STREAMED):
        parts = [
            part
            for chunk in chunks_of(one)
            for candidate in chunk.get("candidates", ())
            for part in candidate.get("content", {}).get("parts", ())
        ]
        read = gathered(events([stream_of(one)]))
        plain = "".join(part.get("text", "") for part in parts if not part.get("thought"))
        assert "".join(event.text for event in read if isinstance(event, TextDelta)) == plain, one.id
        names = [part["functionCall"]["name"] for part in parts if part.get("functionCall", {}).get("name")]
        calls = [event for event in read if isinstance(event, ToolCallDelta)]
        assert [call.name for call in calls] == names, one.id
        assert all(isinstance(json.loads(call.arguments), dict) for call in calls), one.id


def test_every_recorded_stream_becomes_an_array() -> None:
    for one in recorded(STREAMED):
        body, writer = stream_of(one), ArrayWriter()
        out = b"".join(map(writer.feed, pieces(body, cuts(one, body)))) + writer.end()
        assert json.loads(out) == chunks_of(one), one.id


def test_every_recorded_answer_tells_the_provider_s_text() -> None:
    for one in recorded(WHOLE):
        answer = DIALECT.read_answer(one.body)
        assert DIALECT.read_seen(one.body).finish == answer.finish, one.id
        told = json.loads(one.body).get("candidates", [{}])[0].get("content", {}).get("parts", ())
        plain = "".join(part.get("text", "") for part in told if not part.get("thought"))
        assert "".join(part.text for part in answer.parts if isinstance(part, Text)) == plain, one.id


def test_every_recorded_request_is_patched_in_its_cap_only() -> None:
    for one in [*recorded(WHOLE), *recorded(STREAMED)]:
        if one.request is None:
            continue
        fields = request_fields(one, one.request)
        peek = DIALECT.peek(fields)
        body = json.dumps(one.request, separators=(",", ":")).encode()
        assert DIALECT.patch(fields, peek, model="other", output_cap=None) == body, one.id
        capped = read_fields(DIALECT.patch(fields, peek, model="other", output_cap=5))
        assert DIALECT.peek(capped | fields_of({})).output_cap == 5, one.id


SYSTEM_ONLY = (
    "test_google_instructions_only_with_tool_calls.yaml#0",
    "test_google_model_empty_user_prompt.yaml#0",
)
"""An empty prompt beside a system instruction: sent as a turn of the user, and said so."""


def test_every_recorded_request_is_read_and_written_again() -> None:
    """What only Google takes is gone then, and named; all else reads as it was."""
    compared = 0
    for one in [*recorded(WHOLE), *recorded(STREAMED)]:
        if one.request is None:
            continue
        request = DIALECT.read_request(request_fields(one, one.request))
        written = DIALECT.write_request(request, model=request.model, output_cap=None)
        again = DIALECT.read_request(request_fields(one, json.loads(written.body)))
        if one.id.endswith(SYSTEM_ONLY):
            assert written.lost == ("messages.system_position",), one.id
            continue
        assert again == msgspec.structs.replace(request, unread=()), one.id
        assert written.lost == request.unread, one.id
        compared += 1
    assert compared > 450


def test_every_recorded_error_is_sorted() -> None:
    found = [
        (one.status, DIALECT.read_error("Gemini", one.status, one.body))
        for provider in ("gemini", "vertex")
        for one in recordings(WHOLE, STREAMED, "countTokens", provider=provider)
        if one.status >= 400
    ]
    expected = {400: ProviderRefused, 404: ModelNotAvailable, 429: ProviderRateLimited}
    assert len(found) >= 9
    assert all(type(error) is expected[status] for status, error in found)
    assert [error.retry_after for status, error in found if status == 429] == [34.4]


def test_requests_that_google_refused_for_their_form_are_refused_at_the_door() -> None:
    names = ("test_generate_content_invalid_role.yaml#0", "test_generate_content_invalid_temperature.yaml#0")
    refused = [one for one in recordings(WHOLE, provider="vertex") if one.id.endswith(names)]
    assert len(refused) == 2
    for one in refused:
        with pytest.raises(InvalidRequest):
            DIALECT.read_request(request_fields(one, one.request or {}))


def test_every_recorded_count_is_read() -> None:
    for one in recorded("countTokens"):
        assert read_count_answer(one.body) == json.loads(one.body)["totalTokens"], one.id
        request = read_count_request(request_fields(one, one.request or {}))
        assert request.messages, one.id
