"""Counting tokens: by the provider where it counts, else by a labelled estimate; free, with a key, within the rate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.scripted import Said, Scripted, said, scripted
from tests.whole.program import Answer, Program

MESSAGES = [{"role": "user", "content": "Hello!"}]
CONTENTS = [{"role": "user", "parts": [{"text": "Hello!"}]}]
ANTHROPIC, GEMINI = "/v1/messages/count_tokens", "/v1beta/models/gemini-2.5-flash:countTokens"
COUNTED = Said(b'{ "input_tokens" : 11 }', 200, {"content-type": "application/json"})
COUNTED_TOO = Said(b'{ "totalTokens" : 12, "promptTokensDetails": [] }', 200, {"content-type": "application/json"})


@pytest.fixture(scope="module")
def provider() -> Iterator[Scripted]:
    with scripted({}) as running:
        yield running


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, provider: Scripted) -> Iterator[Program]:
    with Program(
        tmp_path_factory.mktemp("counting"),
        ANTHROPIC_API_KEY="sk-ant-0123456789",
        ANTHROPIC_BASE_URL=provider.url,
        OPENAI_API_KEY="sk-0123456789",
        OPENAI_BASE_URL=provider.url,
        GEMINI_API_KEY="g-0123456789",
        GOOGLE_GEMINI_BASE_URL=provider.url,
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(provider: Scripted) -> None:
    provider.asked.clear()
    provider.answers = {f"POST {ANTHROPIC}": COUNTED, f"POST {GEMINI}": COUNTED_TOO}


@pytest.fixture(scope="module")
def key(program: Program) -> str:
    return program.user(monthly_spend_cap_usd=1)[1]


def by_anthropic(program: Program, key: str, model: str, **fields: Any) -> Answer:
    headers = {"anthropic_version": "2023-06-01", "anthropic_beta": "some-beta"}
    return program.ask("POST", ANTHROPIC, {"model": model, "messages": MESSAGES, **fields}, token=key, **headers)


def by_gemini(program: Program, key: str, model: str, body: Any = None) -> Answer:
    return program.ask("POST", f"/v1beta/models/{model}:countTokens", body or {"contents": CONTENTS}, token=key)


def test_the_same_dialect_is_relayed_both_ways(program: Program, provider: Scripted, key: str) -> None:
    answer = by_anthropic(program, key, "claude-sonnet-4-5", system="Be brief.", new_field=[1])
    assert answer.body == COUNTED.body
    assert answer.headers["x-dominion-provider"] == "anthropic"
    assert answer.headers["x-dominion-cost-usd"] == "0.000000000"
    assert "x-dominion-usage" not in answer.headers
    asked = provider.asked[-1]
    assert asked.json() == {
        "model": "claude-sonnet-4-5",
        "messages": MESSAGES,
        "system": "Be brief.",
        "new_field": [1],
    }
    assert (asked.headers["x-api-key"], asked.headers["anthropic-beta"]) == ("sk-ant-0123456789", "some-beta")
    answer = by_gemini(program, key, "gemini-2.5-flash")
    assert answer.body == COUNTED_TOO.body
    assert provider.asked[-1].json() == {"contents": CONTENTS}
    assert provider.asked[-1].headers["x-goog-api-key"] == "g-0123456789"


def test_a_wrapped_request_of_gemini_names_the_model_that_is_asked(
    program: Program, provider: Scripted, key: str
) -> None:
    wrapped = {"generateContentRequest": {"model": "models/other", "contents": CONTENTS}}
    assert by_gemini(program, key, "gemini%2Fgemini-2.5-flash", wrapped).json["totalTokens"] == 12
    assert provider.asked[-1].json()["generateContentRequest"]["model"] == "models/gemini-2.5-flash"


def test_another_dialect_is_translated_to_a_provider_that_counts(
    program: Program, provider: Scripted, key: str
) -> None:
    tools = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
    answer = by_anthropic(program, key, "gemini-2.5-flash", system="Be brief.", tools=tools)
    assert answer.json == {"input_tokens": 12}
    assert "x-dominion-usage" not in answer.headers
    inner = provider.asked[-1].json()["generateContentRequest"]
    assert inner["contents"][0]["parts"][0]["text"] == "Hello!"
    assert inner["tools"][0]["functionDeclarations"][0]["name"] == "weather"
    answer = by_gemini(
        program, key, "claude-sonnet-4-5", {"contents": CONTENTS, "generationConfig": {"maxOutputTokens": 5}}
    )
    assert answer.json == {"totalTokens": 11}
    asked = provider.asked[-1].json()
    assert asked.keys() == {"model", "messages"}  # Anthropic refuses a cap here


def test_a_provider_that_does_not_count_is_estimated_and_said_so(
    program: Program, provider: Scripted, key: str
) -> None:
    for answer, name in (
        (by_anthropic(program, key, "gpt-4o"), "input_tokens"),
        (by_gemini(program, key, "gpt-4o"), "totalTokens"),
    ):
        assert answer.headers["x-dominion-usage"] == "estimated"
        assert 1 <= answer.json[name] < 50
    assert provider.asked == []


@pytest.mark.parametrize("failure", [said({}, 404), said({}, 500), said({}, 429), said("eleven"), said({}, 401)])
def test_a_provider_that_fails_to_count_is_estimated(
    program: Program, provider: Scripted, key: str, failure: Said
) -> None:
    provider.answers[f"POST {ANTHROPIC}"] = failure
    answer = by_anthropic(program, key, "claude-sonnet-4-5")
    assert (answer.status, answer.headers["x-dominion-usage"]) == (200, "estimated")
    assert len(provider.asked) == 1


def test_a_request_that_the_provider_refuses_is_refused_in_its_words(
    program: Program, provider: Scripted, key: str
) -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "messages.0: wrong"}}
    provider.answers[f"POST {ANTHROPIC}"] = said(error, 400)
    answer = by_anthropic(program, key, "claude-sonnet-4-5")
    assert (answer.status, answer.json) == (400, error)
    answer = by_gemini(program, key, "claude-sonnet-4-5")
    assert (answer.status, answer.json["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_counting_is_free_needs_a_key_and_counts_against_the_rate(program: Program) -> None:
    user_id, key = program.user(requests_per_minute=3, monthly_spend_cap_usd=0, daily_requests=0)
    for _ in range(3):
        assert by_anthropic(program, key, "claude-sonnet-4-5").status == 200
    for answer in (by_anthropic(program, key, "claude-sonnet-4-5"), by_gemini(program, key, "gemini-2.5-flash")):
        assert answer.status == 429
        assert int(answer.headers["retry-after"]) >= 1
    assert program.usage(user_id)["requests"] == 0
    assert program.ask("POST", ANTHROPIC, {"model": "gpt-4o", "messages": MESSAGES}).status == 401
    assert program.ask("POST", GEMINI, {"contents": CONTENTS}).status == 401


def test_the_request_counts_against_the_rate_of_completions_too(folder: Path) -> None:
    with Program(folder) as program:
        _, key = program.user(requests_per_minute=2)
        assert program.ask("POST", ANTHROPIC, {"model": "stub", "messages": MESSAGES}, token=key).status == 200
        assert [program.chat(key).status for _ in range(2)] == [200, 429]


def test_a_callers_own_key_counts_for_the_caller_alone(program: Program, provider: Scripted, key: str) -> None:
    own = program.user()[1]
    assert program.ask("PUT", "/v1/llm/credentials/anthropic", {"api_key": "CANARY-own-1"}, token=own).status == 200
    kept, others = (by_anthropic(program, each, "claude-sonnet-4-5") for each in (own, key))
    assert [asked.headers["x-api-key"] for asked in provider.asked] == ["CANARY-own-1", "sk-ant-0123456789"]
    assert (kept.headers["x-dominion-key"], others.headers.get("x-dominion-key")) == ("own", None)
    told = {"type": "error", "error": {"type": "invalid_request_error", "message": "Not with CANARY-own-1."}}
    provider.answers[f"POST {ANTHROPIC}"] = said(told, 400)
    refused = by_anthropic(program, own, "claude-sonnet-4-5")
    assert (refused.status, b"CANARY" in refused.body) == (400, False)
