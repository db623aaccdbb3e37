"""Prices of the running program: shown, quoted, limited by callers, changed and applied again to what was charged."""

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.whole.program import Answer, Program

ASKED = {"model": "stub/answer-100", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 200}
RAW = json.dumps(ASKED, separators=(",", ":")).encode()
WITHIN = 10.0
"""Seconds for what takes one at most on a machine that has time."""
DOORS: dict[str, dict[str, Any]] = {
    "/v1/llm/complete": ASKED,
    "/v1/chat/completions": ASKED,
    "/v1/messages": ASKED,
    "/v1/responses": {"model": "stub/answer-100", "input": "Hi", "max_output_tokens": 200},
    "/v1/completions": {"model": "stub/answer-100", "prompt": "Hi", "max_tokens": 200},
    "/v1/embeddings": {"model": "stub/echo", "input": "Hi there"},
    "/v1beta/models/stub/answer-100:generateContent": {
        "contents": [{"parts": [{"text": "Hi"}]}],
        "generationConfig": {"maxOutputTokens": 200},
    },
}


@pytest.fixture
def own(folder: Path) -> Any:
    """A program whose prices a test may change."""
    with Program(folder) as running:
        yield running


def ask(program: Program, key: str, **headers: Any) -> Answer:
    return program.ask("POST", "/v1/llm/complete", RAW, token=key, **headers)


def set_price(program: Program, usd: str, **fields: Any) -> Answer:
    body = {"provider": "stub", "model": "answer-100", "input_usd_per_million": usd, "output_usd_per_million": usd}
    return program.ask("POST", "/admin/prices", body | fields, token=program.admin_token)


@pytest.mark.promise("003-025", "003-029", "003-030")
def test_the_list_of_models_says_what_is_known_of_each_and_its_prices(program: Program) -> None:
    _, key = program.user()
    models = {model["id"]: model for model in program.ask("GET", "/v1/llm/models", token=key).json["models"]}
    echo = models["stub/echo"]
    assert (echo["name"], echo["context_window"], echo["max_output"]) == (
        "Stub: repeats what was said",
        1_000_000,
        100_000,
    )
    assert (echo["supports_streaming"], echo["abilities"]) == (True, [])
    assert (echo["cost_per_input_token"], echo["cost_per_output_token"]) == ("0.000001", "0.000002")
    assert (echo["input_usd_per_million"], echo["cache_read_usd_per_million"]) == ("1", "1")
    openai = program.ask("GET", "/v1/models/stub/echo", token=key).json
    assert (openai["object"], openai["owned_by"], openai["max_output"]) == ("model", "stub", 100_000)
    anthropic = program.ask("GET", "/v1/models/stub/echo", token=key, anthropic_version="2023-06-01").json
    assert (anthropic["max_input_tokens"], anthropic["max_tokens"]) == (1_000_000, 100_000)
    gemini = program.ask("GET", "/v1beta/models/stub/echo", token=key).json
    assert (gemini["inputTokenLimit"], gemini["outputTokenLimit"]) == (1_000_000, 100_000)


@pytest.mark.promise("003-094", "003-097", "003-083", "003-091")
def test_a_configured_provider_shows_facts_and_prices_that_nobody_typed_in(folder: Path) -> None:
    with Program(folder, OPENAI_API_KEY="sk-test", GEMINI_API_KEY="test") as running:
        _, key = running.user()
        models = {model["id"]: model for model in running.ask("GET", "/v1/llm/models", token=key).json["models"]}
        asked = {**ASKED, "model": "gpt-4o"}
        ours = running.ask("POST", "/v1/llm/quote", asked, token=key).json["quotes"][0]
        theirs = running.ask("POST", "/v1/llm/quote", asked, token=key, x_dominion_provider_key="sk-of-mine").json
    assert (ours["own_key"], ours["most_nano"]) == (False, ours["input_tokens"]["most"] * 2_500 + 200 * 10_000)
    (own,) = theirs["quotes"]
    assert (own["own_key"], own["most_nano"], own["input_usd_per_million"]) == (True, 0, "2.5")
    gpt = models["gpt-4o"]
    assert (gpt["context_window"], gpt["max_output"], gpt["supports_streaming"]) == (128_000, 16_384, True)
    assert gpt["abilities"] == ["streaming", "structured_output", "tools", "vision"]
    assert (gpt["input_usd_per_million"], gpt["output_usd_per_million"]) == ("2.5", "10")
    flash = models["gemini-2.5-flash"]
    assert (flash["name"], flash["supports_streaming"]) == ("Gemini 2.5 Flash", True)
    assert (flash["context_window"], flash["max_output"]) == (1_048_576, 65_536)
    assert Decimal(flash["cost_per_input_token"]) > 0


@pytest.mark.promise("003-009", "003-229")
def test_a_quote_is_never_less_than_what_the_same_request_is_charged(program: Program) -> None:
    user_id, key = program.user(monthly_spend_cap_usd="1")
    answer = program.ask("POST", "/v1/llm/quote", RAW, token=key)
    assert answer.status == 200
    (quote,) = answer.json["quotes"]
    assert (answer.json["budget"]["remaining_usd"], quote["fits"]) == ("1.000000000", True)
    assert program.usage(user_id)["requests"] == 0
    charged = ask(program, key).json["cost_usd"]
    assert 0 < Decimal(charged) <= Decimal(quote["most_usd"])
    after = program.ask("POST", "/v1/llm/quote", RAW, token=key)
    assert Decimal(after.json["budget"]["remaining_usd"]) == 1 - Decimal(charged)
    assert after.headers["x-dominion-remaining-usd"] == after.json["budget"]["remaining_usd"]


def test_a_quote_obeys_the_native_doors_rules(program: Program) -> None:
    _, key = program.user()
    assert program.ask("POST", "/v1/llm/quote", RAW).status == 401
    wrong = program.ask("POST", "/v1/llm/quote", {**ASKED, "modles": ["x"]}, token=key)
    assert (wrong.status, wrong.json["param"]) == (400, "modles")
    unknown = program.ask("POST", "/v1/llm/quote", {**ASKED, "models": ["nobody's"]}, token=key)
    assert (unknown.status, unknown.json["error"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", DOORS)
def test_every_door_refuses_above_the_maximum_in_its_own_words(program: Program, path: str) -> None:
    user_id, key = program.user()
    refused = program.ask("POST", path, DOORS[path], token=key, x_dominion_max_cost="0.000000001")
    assert refused.status == 400
    assert "max_cost_exceeded" in refused.body.decode().lower()
    assert "x-dominion-max-cost" in refused.body.decode()
    assert program.usage(user_id)["requests"] == 0
    assert program.ask("POST", path, DOORS[path], token=key, x_dominion_max_cost="0.01").status == 200


def test_a_maximum_holds_for_streams_and_one_that_is_no_amount_is_refused(program: Program) -> None:
    _, key = program.user()
    stream = json.dumps({**ASKED, "stream": True}).encode()
    refused = program.ask("POST", "/v1/llm/complete", stream, token=key, x_dominion_max_cost="0.0001")
    assert (refused.status, refused.json["error"]) == (400, "max_cost_exceeded")
    for wrong in ("cheap", "-1", "1e-3", "0.0000000001", ""):
        refused = ask(program, key, x_dominion_max_cost=wrong)
        assert (refused.status, refused.json["param"]) == (400, "x-dominion-max-cost")


def test_the_maximum_is_met_exactly(program: Program) -> None:
    _, key = program.user()
    (quote,) = program.ask("POST", "/v1/llm/quote", RAW, token=key).json["quotes"]
    assert ask(program, key, x_dominion_max_cost=quote["most_usd"]).status == 200
    below = f"{Decimal(quote['most_usd']) - Decimal('0.000000001'):f}"
    assert ask(program, key, x_dominion_max_cost=below).status == 400


@pytest.mark.parametrize("path", DOORS)
def test_every_door_tells_cost_and_what_is_left(program: Program, path: str) -> None:
    user_id, key = program.user(monthly_spend_cap_usd="1", daily_tokens=None)
    answer = program.ask("POST", path, DOORS[path], token=key)
    assert answer.status == 200
    spent = Decimal(answer.headers["x-dominion-cost-usd"])
    assert spent == Decimal(program.usage(user_id)["cost_usd"]) > 0
    assert Decimal(answer.headers["x-dominion-remaining-usd"]) == 1 - spent


@pytest.mark.parametrize("path", ["/v1/llm/complete", "/v1/chat/completions", "/v1/messages"])
def test_a_stream_tells_what_is_left_while_its_worst_case_is_set_aside(program: Program, path: str) -> None:
    user_id, key = program.user(monthly_spend_cap_usd="1")
    answer = program.ask("POST", path, {**ASKED, "stream": True}, token=key)
    assert "x-dominion-cost-usd" not in answer.headers
    left = Decimal(answer.headers["x-dominion-remaining-usd"])
    assert left < 1 - Decimal(program.usage(user_id)["cost_usd"])


@pytest.mark.promise("003-083", "003-091")
def test_a_new_price_is_charged_from_the_next_request_on_without_a_restart(own: Program) -> None:
    _, key = own.user()
    before = Decimal(ask(own, key).json["cost_usd"])
    added = set_price(own, "20")
    assert (added.status, added.json["before"]["output_usd_per_million"]) == (201, "2")
    usage = ask(own, key).json
    tokens = usage["usage"]["totalTokens"]
    assert Decimal(usage["cost_usd"]) == Decimal(tokens) * 20 / 1_000_000 > before
    refused = set_price(own, "0.1")
    assert (refused.status, refused.json["error"]) == (409, "conflict")
    assert set_price(own, "0.1", confirm=True).status == 201
    assert Decimal(ask(own, key).json["cost_usd"]) == Decimal(tokens) / 10_000_000


def test_a_price_survives_a_restart(folder: Path) -> None:
    with Program(folder) as running:
        assert set_price(running, "20").status == 201
    with Program(folder) as running:
        _, key = running.user()
        answer = ask(running, key).json
        assert Decimal(answer["cost_usd"]) == Decimal(answer["usage"]["totalTokens"]) * 20 / 1_000_000
        rows = running.admin("GET", "/admin/prices")["prices"]
        assert [row["model"] for row in rows if row["source"] == "operator"] == ["answer-100"]
        history = running.admin("GET", "/admin/prices/history?provider=stub&model=answer-100")["prices"]
        assert [row["input_usd_per_million"] for row in history] == ["1", "20"]


def test_a_price_begins_at_its_time(own: Program) -> None:
    _, key = own.user()
    usual = ask(own, key).json["cost_usd"]
    begins = time.gmtime(time.time() + 2)
    assert set_price(own, "20", valid_from=time.strftime("%Y-%m-%dT%H:%M:%SZ", begins)).status == 201
    assert ask(own, key).json["cost_usd"] == usual
    until = time.monotonic() + WITHIN
    while (cost := ask(own, key).json["cost_usd"]) == usual and time.monotonic() < until:
        pass
    assert Decimal(cost) > 5 * Decimal(usual)


def test_repricing_a_period_corrects_windows_sums_and_the_budget_and_happens_once(own: Program) -> None:
    user_id, key = own.user(monthly_spend_cap_usd="1")
    charged = sum(Decimal(ask(own, key).json["cost_usd"]) for _ in range(3))
    tokens = own.usage(user_id)["total_tokens"]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert set_price(own, "20", valid_from="2026-01-01").status == 201
    period = {"from": "2026-01-01", "to": day}
    dry = own.admin("POST", "/admin/prices/reprice", period | {"dry_run": True})
    told = own.admin("POST", "/admin/prices/reprice", period)
    assert dry | {"dry_run": False} == told
    right = Decimal(tokens) * 20 / 1_000_000
    assert (told["corrections"], Decimal(told["difference_usd"])) == (3, right - charged)
    assert own.admin("POST", "/admin/prices/reprice", period)["corrections"] == 0
    summed = own.usage(user_id)
    assert (summed["requests"], summed["total_tokens"], Decimal(summed["cost_usd"])) == (3, tokens, right)
    quota = own.ask("GET", "/v1/llm/quota", token=key).json["monthly_spend"]
    assert (Decimal(quota["used_usd"]), Decimal(quota["remaining_usd"])) == (right, 1 - right)


@pytest.mark.promise("003-005")
def test_a_new_user_has_a_ceiling_that_nobody_had_to_set(program: Program) -> None:
    user = program.admin("POST", "/admin/users", {"name": "new"})
    assert user["limits"]["monthly_spend_cap_usd"] == "50.000000000"
    key = program.admin("POST", "/admin/keys", {"user_id": user["id"]})["api_key"]
    told = program.ask("POST", "/v1/llm/quote", RAW, token=key).json
    assert (told["budget"]["remaining_usd"], told["quotes"][0]["fits"]) == ("50.000000000", True)


def test_prices_are_the_operators_business_alone(program: Program) -> None:
    _, key = program.user()
    for method, path in (("GET", "/admin/prices"), ("GET", "/admin/prices/history"), ("POST", "/admin/prices")):
        assert program.ask(method, path, token=key).status in (401, 403)
    assert program.ask("POST", "/admin/prices/reprice", {}, token=key).status in (401, 403)
