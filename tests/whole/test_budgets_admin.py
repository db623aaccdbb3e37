"""Budgets as operators set them and callers meet them, in the real program with its real command."""

import json
import threading
from pathlib import Path

import pytest

from tests.whole.program import ADMIN_TOKEN, Program


def command(program: Program, *words: str) -> str:
    """What a command of the operator prints."""
    return program.operator("budgets", *words)


def chat(program: Program, key: str, model: str = "stub/echo", **headers: str) -> tuple[int, dict[str, str], str]:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 20}
    answer = program.ask("POST", "/v1/chat/completions", body, token=key, **headers)
    return answer.status, answer.headers, answer.body.decode()


@pytest.mark.promise("003-196")
def test_a_budget_set_by_the_command_holds_from_the_next_request_on_and_survives_a_start(folder: Path) -> None:
    with Program(folder) as program:
        _, key = program.user()
        labels = {"x-dominion-customer": "acme"}
        assert chat(program, key, **labels)[0] == 200
        shown = command(program, "set", "customer:acme", "--daily-requests", "2", "--alert", "90")
        assert shown == "daily_requests: 2\nalerts: [90]\n"
        assert chat(program, key, **labels)[0] == 200
        status, _, body = chat(program, key, **labels)
        assert (status, "Daily request limit exceeded for customer acme" in body) == (429, True)
        assert chat(program, key)[0] == 200
        assert "customer:acme" in command(program, "list")
        (budget,) = json.loads(command(program, "list", "--json"))["budgets"]
        assert (budget["today"]["requests"], budget["limits"]["alerts"]) == (2, [90])
        entries = program.admin("GET", "/admin/audit?subject=customer:acme")["entries"]
        assert [(one["action"], one["before"], one["after"]["daily_requests"]) for one in entries] == [
            ("budgets.set", None, 2)
        ]
    with Program(folder) as program:
        assert chat(program, key, **labels)[0] == 429
        command(program, "set", "customer:acme", "--daily-requests", "none")
        assert program.admin("GET", "/admin/budgets") == {"budgets": []}
        assert chat(program, key, **labels)[0] == 200


def test_a_run_is_warned_and_then_refused(program: Program) -> None:
    _, key = program.user()
    program.admin("PUT", "/admin/budgets", {"scope": "run:r1", "soft_run_tokens": 1, "hard_run_tokens": 400})
    labels = {"x-dominion-run": "r1"}
    status, headers, _ = chat(program, key, **labels)
    assert (status, headers["x-dominion-warning"].startswith("run r1 has used ")) == (200, True)
    while status == 200:
        status, headers, body = chat(program, key, **labels)
    assert (status, "Token limit exceeded for run r1" in body) == (429, True)
    assert "x-dominion-warning" not in headers
    program.admin("PUT", "/admin/budgets", {"scope": "run:r1", "soft_run_tokens": None, "hard_run_tokens": None})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"scope": "user:usr_1", "daily_requests": 1}, "POST /admin/limits"),
        ({"scope": "team:x", "daily_requests": 1}, "A scope is"),
        ({"scope": "key:", "daily_requests": 1}, "A scope is"),
        ({"scope": "run:*", "daily_requests": 1}, "Runs have soft_run_tokens"),
        ({"scope": "key:k", "hard_run_tokens": 1}, "Runs have soft_run_tokens"),
        ({"scope": "key:k", "daily_requests": -1}, "whole number"),
        ({"scope": "key:k", "daily_spend_cap_usd": -1}, "daily_spend_cap_usd"),
        ({"scope": "key:k", "daily_requests": 1, "alerts": [0]}, "percentages"),
        ({"scope": "key:k", "daily": 1}, "unknown field"),
    ],
)
def test_a_wrong_budget_is_refused_with_a_reason(program: Program, body: dict[str, object], words: str) -> None:
    answer = program.ask("PUT", "/admin/budgets", body, token=ADMIN_TOKEN)
    assert (answer.status, words in answer.json["message"]) == (400, True), answer.body


def test_labels_are_short_and_printable(program: Program) -> None:
    _, key = program.user()
    for name in ("x-dominion-customer", "x-dominion-run"):
        status, _, body = chat(program, key, **{name: "x" * 129})
        assert (status, name in body) == (400, True)


def test_what_is_set_aside_for_a_running_request_is_listed_and_can_be_released(program: Program) -> None:
    _, key = program.user(monthly_spend_cap_usd="1.00")
    found: list[int] = []
    asking = threading.Thread(target=lambda: found.append(chat(program, key, "stub/drip-20x200")[0]))
    asking.start()
    while not (holds := program.admin("GET", "/admin/holds")["holds"]):
        assert asking.is_alive()
    (hold,) = holds
    assert hold["tokens"] > 20
    assert f"{hold['tokens']} tokens are free again" in command(program, "release", hold["id"])
    (released,) = program.admin("GET", "/admin/holds")["holds"]
    assert released["tokens"] == 0
    asking.join()
    assert found == [200]
    assert program.ask("POST", "/admin/holds/nobody/release", token=ADMIN_TOKEN).status == 404
    assert program.admin("GET", "/admin/holds") == {"holds": []}
