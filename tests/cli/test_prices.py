"""`prices`, `usage reconcile` and `ask --quote`, against the program itself."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.cli.conftest import Run
from tests.whole.program import Program

ASKED = {"model": "stub/answer-100", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 200}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("program")) as running:
        yield running


@pytest.fixture
def admin(run: Run, program: Program) -> Any:
    """An operator's command."""

    def command(*words: str) -> Result:
        return run(*words, ADMIN_TOKEN=program.admin_token, DOMINION_API_URL=program.url)

    return command


def used(program: Program) -> dict[str, Any]:
    """A request, and what the ledger says of its day, the stub and its model."""
    user_id, key = program.user()
    assert program.ask("POST", "/v1/llm/complete", ASKED, token=key).status == 200
    program.usage(user_id)
    rows: list[dict[str, Any]] = program.admin("GET", "/admin/usage")["rows"]
    day = rows[-1]["day"]
    same = [row for row in rows if (row["day"], row["model"]) == (day, "answer-100")]
    sums = {name: sum(row[name] for row in same) for name in ("input_tokens", "output_tokens")}
    return {"day": day, **sums, "cost_usd": sum(Decimal(row["cost_usd"]) for row in same)}


def export(folder: Path, row: dict[str, Any]) -> str:
    """A provider's file that says this of the model."""
    path = folder / "usage.csv"
    path.write_text(
        "day,model,input_tokens,output_tokens,cost_usd\n"
        f"{row['day']},answer-100,{row['input_tokens']},{row['output_tokens']},{row['cost_usd']:f}\n"
    )
    return str(path)


def test_prices_are_listed_set_and_remembered(admin: Any) -> None:
    assert "stub\techo\tcatalogue\t1\t2" in admin("prices", "list").stdout
    words = ("prices", "set", "stub/echo", "--input", "1.5", "--output", "2.25", "--cache-read", "0.5")
    result = admin(*words, "--from", "2026-11-01", "--note", "a contract")
    assert result.exit_code == 0, result.stderr
    assert "stub\techo\t2026-11-01T00:00:00Z\t1.5\t2.25\t0.5\t1.5" in result.stdout
    listed = {row["model"]: row for row in json.loads(admin("prices", "list", "--json").stdout)["prices"]}
    assert (listed["echo"]["source"], listed["echo"]["output_usd_per_million"]) == ("operator", "2.25")
    history = admin("prices", "history", "stub/echo").stdout.splitlines()
    assert [line.split("\t")[:3] for line in history[1:]] == [
        ["-", "catalogue", "-"],
        ["2026-11-01T00:00:00Z", "operator", "a contract"],
    ]


def test_a_slip_of_the_decimal_point_must_be_confirmed(admin: Any) -> None:
    words = ("prices", "set", "stub/tool", "--input", "1000", "--output", "2")
    refused = admin(*words)
    assert refused.exit_code == 1
    assert "hundred times" in refused.stderr
    assert admin(*words, "--confirm").exit_code == 0


@pytest.mark.parametrize("wrong", ["echo", "stub/", "/echo"])
def test_a_model_without_its_provider_is_wrong_usage(admin: Any, wrong: str) -> None:
    result = admin("prices", "history", wrong)
    assert result.exit_code == 2
    assert "provider/model" in result.stderr


def test_repricing_tells_what_it_would_do_and_does_it_once(admin: Any, program: Program) -> None:
    day = used(program)["day"]
    words = ("prices", "set", "stub/answer-100", "--input", "2", "--output", "4", "--from", "2026-01-01")
    assert admin(*words).exit_code == 0
    period = ("prices", "reprice", "--from", "2026-01-01", "--to", day)
    dry, done, again = admin(*period, "--dry-run"), admin(*period), admin(*period, "--json")
    assert dry.stdout == done.stdout
    assert dry.stdout.splitlines()[-1].startswith("total\t\t")
    assert not dry.stdout.splitlines()[-1].startswith("total\t\t0")
    assert json.loads(again.stdout)["corrections"] == 0


def test_a_ledger_that_agrees_with_the_provider_has_no_drift(admin: Any, program: Program, tmp_path: Path) -> None:
    row = used(program)
    result = admin("usage", "reconcile", export(tmp_path, row), "--provider", "stub", "--json")
    assert result.exit_code == 0, result.output
    (drift,) = [each for each in json.loads(result.stdout)["drifts"] if each["model"] == "answer-100"]
    assert (drift["input_tokens"], drift["output_tokens"], drift["drift_usd"]) == (0, 0, "0.000000000")


def test_drift_is_named_by_day_and_model_and_is_an_exit_code(admin: Any, program: Program, tmp_path: Path) -> None:
    row = used(program)
    more = row | {"cost_usd": row["cost_usd"] + 1, "input_tokens": row["input_tokens"] + 7}
    words = ("usage", "reconcile", export(tmp_path, more), "--provider", "stub")
    result = admin(*words)
    assert result.exit_code == 1
    ours, theirs = f"{row['cost_usd']:f}", f"{more['cost_usd']:f}"
    assert f"{row['day']}\tanswer-100\t7\t0\t{ours}\t{theirs}\t1.000000000\tTrue" in result.stdout
    assert "drift further than allowed" in result.stderr
    assert admin(*words, "--least-usd", "1").exit_code == 0
    assert admin(*words, "--percent", "100").exit_code == 0


def test_a_file_that_is_no_export_is_wrong_usage(admin: Any, tmp_path: Path) -> None:
    (tmp_path / "holiday.csv").write_text("beach,sun\n1,2\n")
    result = admin("usage", "reconcile", str(tmp_path / "holiday.csv"), "--provider", "stub")
    assert result.exit_code == 2
    assert "its columns are beach, sun" in result.stderr
    (tmp_path / "empty.csv").write_text("day,model,cost_usd\n2026-11-20,m,\n")
    assert "tells of no usage" in admin("usage", "reconcile", str(tmp_path / "empty.csv"), "--provider", "x").stderr


def test_usage_without_a_command_still_shows_the_sums(admin: Any, program: Program) -> None:
    used(program)
    assert admin("usage").stdout.splitlines()[-1].startswith("total\t")
    assert json.loads(admin("usage", "--json").stdout)["totals"]["requests"] > 0


@pytest.mark.promise("003-009", "003-229")
def test_a_question_can_be_priced_before_it_is_asked(run: Run, program: Program) -> None:
    user_id, key = program.user(monthly_spend_cap_usd="5")
    gateway = {"DOMINION_API_URL": program.url, "DOMINION_API_TOKEN": key}
    result = run("ask", "--quote", "--model", "stub/think", "--max-tokens", "100", "why?", **gateway)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("think (stub): likely $0.0002")
    assert result.stderr == "Left of this month's limit: $5.000000000\n"
    compared = run("ask", "--model", "stub/think", "--compare", "stub/json", "why?", **gateway)
    assert compared.stdout.splitlines()[1].endswith("This will cost the same per run.")
    told = json.loads(run("ask", "--quote", "--json", "--model", "stub/think", "why?", **gateway).stdout)
    assert told["quotes"][0]["output_tokens"] == {"likely": 500, "most": 8192}
    assert program.usage(user_id)["requests"] == 0


def test_a_question_that_may_cost_too_much_is_not_asked(run: Run, program: Program) -> None:
    user_id, key = program.user()
    gateway = {"DOMINION_API_URL": program.url, "DOMINION_API_TOKEN": key}
    words = ("ask", "--model", "stub/answer-7", "--max-tokens", "100", "why?")
    for stream in ("--stream", "--no-stream"):
        refused = run(*words, stream, "--max-cost", "0.0001", **gateway)
        assert refused.exit_code == 1
        assert "x-dominion-max-cost allows $0.000100000" in refused.stderr
        assert run(*words, stream, "--max-cost", "0.01", **gateway).exit_code == 0
    assert program.usage(user_id)["requests"] == 2
    assert "only a gateway does" in run(*words, "--max-cost", "0.01").stderr


def test_only_a_gateway_tells_what_a_question_costs(run: Run) -> None:
    result = run("ask", "--quote", "why?")
    assert result.exit_code == 1
    assert "only a gateway does" in result.stderr
