"""Every door before every provider: what arrives is measured, nothing is dropped in silence, and the page says it."""

import json
from typing import Any

import pytest

from dominion.domain.contracts import Dialect
from dominion.domain.messages import Event, Failed, Started, TextDelta
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.translation.asked import ASKED, Asked
from tests.translation.failed import FAILED, Failure
from tests.translation.measure import DOORS, PAIRS, PROVIDERS, answers_of, asked_between, requests_of, told_between
from tests.translation.told import TOLD, Told
from tools.translation_table import PAGE, page

pairs = pytest.mark.parametrize(
    ("door", "provider"), [pytest.param(*pair, id=f"{pair[0].name}-{pair[1].name}") for pair in PAIRS]
)
EVERYWHERE = {"texts in turns", "system prompt", "image, inline", "tools", "parallel calls", "tool results"} | {
    *("JSON by a schema", "output cap", "temperature", "top_p")
}
ALWAYS_TOLD = {"text", "reasoning", "parallel calls", "end: stop", "end: length", "end: tool_calls"} | {
    "input and output tokens"
}
NO_PLACE_IN_ANSWERS = {
    "stop sequence that was hit": {"openai_chat", "openai_responses", "gemini"},
    "tokens written to the cache": {"gemini"},
    "of these, for an hour": {"openai_chat", "openai_responses", "gemini"},
}
"""What callers of these doors cannot be told: their APIs have no field for it. (Bills are made from what we read.)"""


@pairs
@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.name)
def test_nothing_that_is_asked_for_is_dropped_without_being_named(
    door: Dialect, provider: Dialect, case: Asked
) -> None:
    outcome = asked_between(door, provider, case)
    assert outcome.kind != "dropped"
    if case.name in EVERYWHERE:
        assert outcome.kind in ("kept", "relayed")


@pairs
@pytest.mark.parametrize("case", TOLD, ids=lambda case: case.name)
def test_what_is_told_arrives_whole_and_streamed_where_the_door_has_a_place_for_it(
    door: Dialect, provider: Dialect, case: Told
) -> None:
    outcome = told_between(door, provider, case)
    if outcome.kind == "dropped":
        assert door.name in NO_PLACE_IN_ANSWERS[case.name]
    if case.name in ALWAYS_TOLD:
        assert outcome.kind in ("kept", "relayed")


def test_every_thing_can_be_said_at_some_door_and_by_some_provider() -> None:
    said = {name for door in DOORS for name, row in requests_of(door).items() if {"kept", "mapped"} & _kinds(row)}
    told = {name for door in DOORS for name, row in answers_of(door).items() if {"kept", "mapped"} & _kinds(row)}
    assert said == {case.name for case in ASKED} - {"a field that only this API has"}
    assert told == {case.name for case in TOLD}


def _kinds(row: list[Any]) -> set[str]:
    return {outcome.kind for outcome in row}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@pytest.mark.parametrize("failure", FAILED, ids=lambda failure: failure.kind.__name__)
def test_a_failure_is_the_same_whoever_tells_it_and_reaches_every_door(provider: Dialect, failure: Failure) -> None:
    status, body = failure.bodies[provider.name]
    error = provider.read_error("Acme", status, json.dumps(body).encode())
    assert type(error) is failure.kind
    for door in DOORS:
        assert error.message in _strings(json.loads(door.write_error(error, "req_1")))
        assert error.message in door.write_stream_error(error, "req_1").decode()


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for inner in (value.values() if isinstance(value, dict) else value) for text in _strings(inner)]
    return [str(value)]


@pairs
def test_a_failure_inside_a_stream_reaches_the_caller_and_ends_it(door: Dialect, provider: Dialect) -> None:
    told: list[Event] = [Started("1", "x"), TextDelta(0, "Hel"), Failed("Overloaded.", "overloaded_error")]
    events = _again(provider, told)
    assert isinstance(events[-1], Failed)
    heard = _again(door, events)
    assert isinstance(heard[-1], Failed)
    assert heard[-1].message == "Overloaded."
    assert [event.text for event in heard if isinstance(event, TextDelta)] == ["Hel"]


def _again(dialect: Dialect, events: list[Event]) -> list[Event]:
    writer, reader = dialect.writer(now=7, asks_usage=True), dialect.reader()
    body = b"".join(map(writer.write, events)) + writer.end()
    return reader.feed(body) + reader.end()


def test_an_image_in_a_stream_becomes_a_text_that_shows_it() -> None:
    gemini = {"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}}]}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    chat = {"id": "1", "choices": [{"index": 0, "delta": {"images": [image]}}]}
    for provider, frame in ((GEMINI, gemini), (OPENAI_CHAT, chat)):
        events = provider.reader().feed(b"data: %b\n\n" % json.dumps(frame).encode())
        assert [event.text for event in events if isinstance(event, TextDelta)] == [
            "![image](data:image/png;base64,aGk=)"
        ]


def test_the_page_is_what_is_measured() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tools.translation_table"
