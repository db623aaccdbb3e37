"""What documents 002 and 003 keep in tables and lists, read from the running program and its database."""

import contextlib
import sqlite3
import time
from decimal import Decimal
from pathlib import Path

import pytest

from tests.client.scripted import scripted
from tests.whole.program import Program

TURNS = [{"role": "user", "content": "Hello!"}]


@pytest.mark.promise("003-144", "003-145", "003-146", "003-147", "003-148", "003-149", "003-150", "003-151", "003-152")
def test_a_row_of_use_has_what_the_documents_table_has(program: Program) -> None:
    user_id, key = program.user()
    asked = {"model": "stub/answer-100", "messages": TURNS, "max_tokens": 200}
    answer = program.ask("POST", "/v1/llm/complete", asked, token=key, **{"x-dominion-run": "nightly-7"})
    program.usage(user_id)  # what is in the journal is in the database now
    with contextlib.closing(sqlite3.connect(program.folder / "data" / "gateway.db")) as database:
        database.row_factory = sqlite3.Row
        columns = {str(one["name"]): one for one in database.execute("PRAGMA table_info(usage)")}
        (row,) = database.execute("SELECT * FROM usage WHERE user_id = ?", [user_id]).fetchall()
    kept = ("id", "provider", "model", "run", "input_tokens", "output_tokens", "cost_nano", "at")
    assert all(columns[name]["notnull"] for name in kept)
    assert columns["id"]["pk"] == 1
    assert (row["id"], row["provider"], row["model"], row["run"]) == (
        answer.headers["x-request-id"],
        "stub",
        "answer-100",
        "nightly-7",
    )
    usage: dict[str, int] = answer.json["usage"]
    assert (row["input_tokens"], row["output_tokens"]) == (usage["promptTokens"], usage["completionTokens"])
    assert Decimal(row["cost_nano"]).scaleb(-9) == Decimal(answer.headers["x-dominion-cost-usd"]) > 0
    assert abs(row["at"] / 1000 - time.time()) < 60


@pytest.mark.promise("003-050", "003-051", "003-052", "003-053", "003-054", "003-055", "003-056", "003-057", "003-058")
def test_each_model_is_a_row_with_what_the_documents_table_has(folder: Path) -> None:
    with scripted({}) as openai, Program(folder, OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=openai.url) as program:
        models = program.ask("GET", "/v1/llm/models", token=program.user()[1]).json["models"]
        providers = {one["id"] for one in program.admin("GET", "/admin/providers?all=true")["providers"]}
    rows = {f"{one['provider']}/{one['id']}": one for one in models}
    assert len(rows) == len(models)
    assert {one["provider"] for one in models} <= providers
    assert all(one["name"] for one in models)
    found = rows["openai/gpt-4o"]
    assert (found["name"], found["context_window"], found["max_output"]) == ("GPT-4o", 128_000, 16_384)
    assert Decimal(found["cost_per_input_token"]) * 1_000_000 == Decimal("2.5")
    assert Decimal(found["cost_per_output_token"]) * 1_000_000 == 10
    assert found["supports_streaming"] is True


@pytest.mark.promise("002-052")
def test_a_customer_has_a_rate_of_its_own_whoever_calls_for_it(program: Program) -> None:
    keys = [program.user()[1] for _ in range(2)]
    program.admin("PUT", "/admin/budgets", {"scope": "customer:rated", "requests_per_minute": 2})
    asked = {"model": "stub/echo", "messages": TURNS, "max_tokens": 20}

    def status(key: str, customer: str) -> int:
        labels = {"x-dominion-customer": customer}
        return program.ask("POST", "/v1/chat/completions", asked, token=key, **labels).status

    assert [status(key, "rated") for key in (*keys, *keys)] == [200, 200, 429, 429]
    assert [status(key, "another") for key in keys] == [200, 200]
    program.admin("PUT", "/admin/budgets", {"scope": "customer:rated", "requests_per_minute": None})
