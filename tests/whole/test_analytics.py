"""What operators ask about use over all users, of the real program and by its real command."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.whole.program import ADMIN_TOKEN, Program


def chat(program: Program, key: str, **headers: str) -> None:
    body = {"model": "stub/answer-100", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 200}
    assert program.ask("POST", "/v1/chat/completions", body, token=key, **headers).status == 200


@pytest.fixture(scope="module")
def asked(program: Program) -> tuple[str, dict[str, Any]]:
    """A user with two requests, one of them for a customer; and its usage."""
    user_id, key = program.user()
    chat(program, key)
    chat(program, key, **{"x-dominion-customer": "analytics & co"})
    return user_id, program.usage(user_id)


@pytest.mark.promise("002-003", "002-038", "003-219")
def test_costs_by_provider_model_day_customer_and_user_agree_with_the_ledger(
    program: Program, asked: tuple[str, dict[str, Any]]
) -> None:
    user_id, usage = asked

    def rows(group: str) -> list[dict[str, Any]]:
        told = program.admin("GET", f"/admin/usage/by?group={group}&limit=1000")
        assert (told["group"], told["more"]) == (group, False)
        found: list[dict[str, Any]] = told["rows"]
        assert sum(Decimal(row["cost_usd"]) for row in found) == Decimal(told["totals"]["cost_usd"])
        return found

    assert "stub" in {row["provider"] for row in rows("provider")}
    assert "stub/answer-100" in {row["model"] for row in rows("model")}
    assert rows("day")[-1]["requests"] >= 2
    (of_user,) = [row for row in rows("user") if row["user_id"] == user_id]
    assert of_user["requests"] == 2
    assert of_user["cost_usd"] == usage["cost_usd"]
    (of_customer,) = [row for row in rows("customer") if row["customer"] == "analytics & co"]
    assert of_customer["requests"] == 1
    assert Decimal(of_customer["cost_usd"]) * 2 == Decimal(usage["cost_usd"])


@pytest.mark.promise("003-155", "003-156")
def test_the_month_is_projected_over_http_and_by_the_command(
    program: Program, asked: tuple[str, dict[str, Any]]
) -> None:
    user_id, usage = asked
    told = program.admin("GET", f"/admin/usage/projection?user_id={user_id}")
    assert told["spent_usd"] == usage["cost_usd"]
    assert Decimal(told["projected_usd"]) >= Decimal(told["spent_usd"]) > 0
    assert told["text"].startswith("You're on track for ")
    assert program.operator("usage", "projection", "--user", user_id).startswith("You're on track for ")
    assert program.admin("GET", "/admin/usage/projection?provider=stub")["provider"] == "stub"
    assert json.loads(program.operator("usage", "projection", "--json"))["user_id"] is None
    gone = program.ask("GET", "/admin/usage/projection?user_id=usr_none", token=ADMIN_TOKEN)
    assert gone.status == 404


@pytest.mark.promise("002-059")
def test_latency_of_a_model_is_told(program: Program, asked: tuple[str, dict[str, Any]]) -> None:
    del asked
    told = program.admin("GET", "/admin/usage/latency?hours=1")
    (row,) = [row for row in told["rows"] if row["model"] == "answer-100"]
    assert row["latency_ms"]["p50"] <= row["latency_ms"]["p99"]
    assert (row["error_rate"], row["requests"] >= 2) == (0.0, True)
    assert "answer-100" in program.operator("usage", "latency")


@pytest.mark.promise("003-153", "003-154")
def test_the_command_prints_a_table_with_its_total(program: Program, asked: tuple[str, dict[str, Any]]) -> None:
    del asked
    lines = [line.split("\t") for line in program.operator("usage", "by", "provider").splitlines()]
    assert lines[0][:3] == ["PROVIDER", "REQUESTS", "FAILED"]
    assert {len(line) for line in lines} == {9}
    assert "stub" in {line[0] for line in lines}
    assert lines[-1][0] == "total"
    assert program.operator("usage", "by", "model", "--month", "2020-01").splitlines()[1].startswith("total\t0\t")
    assert "USER ID\tREQUESTS\tTOTAL TOKENS\tCOST USD" in program.operator("usage", "by", "user")


@pytest.mark.parametrize("query", ["", "?group=colour", "?group=user&from=2026-01-01", "?group=day&month=May"])
def test_what_cannot_be_asked_is_refused(program: Program, query: str) -> None:
    assert program.ask("GET", f"/admin/usage/by{query}", token=ADMIN_TOKEN).status == 400


def test_figures_are_for_the_operator_alone(program: Program) -> None:
    _, key = program.user()
    for path in ("by?group=day", "projection", "latency"):
        assert program.ask("GET", f"/admin/usage/{path}", token=key).status == 401
