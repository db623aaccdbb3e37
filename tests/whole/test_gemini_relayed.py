"""Gemini on both sides: the provider's bytes, one address for whole answers and one for streams, and its own key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.scripted import Said, Scripted, said, scripted
from tests.whole.program import Program

BODY = {"contents": [{"role": "user", "parts": [{"text": "Hello!"}]}], "safetySettings": [], "newField": {"a": 1}}
MODEL = "/v1beta/models/gemini-2.5-flash"
USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 10}
WHOLE = (
    b'{\n  "candidates": [ {"content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP"} ],\n'
    b'  "usageMetadata": %b, "newAnswer": [1]\n}\n' % json.dumps(USAGE).encode()
)


def event(text: str, **more: Any) -> bytes:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, **more.pop("candidate", {})}
    return b"data: %b\r\n\r\n" % json.dumps({"candidates": [candidate], **more}).encode()


EVENTS = (event("H"), event("i", candidate={"finishReason": "STOP"}, usageMetadata=USAGE))


@pytest.fixture(scope="module")
def provider() -> Iterator[Scripted]:
    with scripted(
        {
            f"POST {MODEL}:generateContent": Said(WHOLE, 200, {"content-type": "application/json; charset=UTF-8"}),
            f"POST {MODEL}:streamGenerateContent": Said(EVENTS, 200, {"content-type": "text/event-stream"}),
        }
    ) as running:
        yield running


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, provider: Scripted) -> Iterator[Program]:
    folder: Path = tmp_path_factory.mktemp("gemini")
    toml = '[prices."gemini/gemini-2.5-flash"]\ninput = 1\noutput = 2\n'
    with Program(folder, toml=toml, GEMINI_API_KEY="g-0123456789", GOOGLE_GEMINI_BASE_URL=provider.url) as running:
        yield running


def test_a_whole_answer_is_relayed_byte_for_byte_and_metered(program: Program, provider: Scripted) -> None:
    user_id, key = program.user()
    answer = program.ask("POST", f"{MODEL}:generateContent?key={key}", BODY)
    assert answer.body == WHOLE
    assert answer.headers["x-dominion-cost-usd"] == "0.000015000"  # 5 at $1 and 2 + 3 at $2 a million
    asked = provider.asked[-1]
    assert asked.json() == BODY
    assert asked.headers["x-goog-api-key"] == "g-0123456789"
    assert key not in asked.path + asked.body.decode() + str(asked.headers)
    assert program.usage(user_id)["reasoning_tokens"] == 3


def test_a_stream_is_relayed_byte_for_byte_or_as_the_same_elements_in_an_array(
    program: Program, provider: Scripted
) -> None:
    user_id, key = program.user()
    path = f"{MODEL}:streamGenerateContent"
    assert program.ask("POST", f"{path}?alt=sse", BODY, token=key).body == b"".join(EVENTS)
    assert provider.asked[-1].path == f"{path}?alt=sse"
    answer = program.ask("POST", path, BODY, x_goog_api_key=key)
    assert provider.asked[-1].path == f"{path}?alt=sse"
    assert answer.json == [json.loads(one.removeprefix(b"data: ")) for one in EVENTS]
    totals = program.usage(user_id)
    assert (totals["requests"], totals["input_tokens"], totals["output_tokens"]) == (2, 10, 10)


def test_a_refusal_keeps_the_provider_s_words_and_becomes_an_element_of_an_array(
    program: Program, provider: Scripted
) -> None:
    _, key = program.user()
    error = {"error": {"code": 400, "message": "Wrong.", "status": "INVALID_ARGUMENT", "details": [{"x": 1}]}}
    for action in ("generateContent", "streamGenerateContent"):
        provider.answers[f"POST /v1beta/models/gemini-wrong:{action}"] = said(error, 400)
    whole = program.ask("POST", "/v1/models/gemini-wrong:generateContent", BODY, token=key)
    assert (whole.status, whole.json) == (400, error)
    array = program.ask("POST", "/v1/models/gemini-wrong:streamGenerateContent", BODY, token=key)
    assert (array.status, array.json) == (400, [error])
