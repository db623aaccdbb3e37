"""Own keys at providers from the command line: typed or piped in, never an argument, never shown."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.emulators.keyed import Keyed
from tests.whole.program import Program
from tests.whole.test_own_keys import ADA, BOB, OPERATORS, toml


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A program with two providers on this machine."""
    with Keyed(OPERATORS["alpha"], ADA) as alpha, Program(tmp_path / "program", toml=toml(alpha, alpha)) as running:
        yield running


def test_a_caller_and_an_operator_keep_list_and_forget_keys(run: Run, program: Program) -> None:
    user_id, key = program.user()
    mine = {"DOMINION_API_URL": program.url, "DOMINION_API_TOKEN": key}
    theirs = {"DOMINION_API_URL": program.url, "ADMIN_TOKEN": program.admin_token}
    kept = run("credentials", "set", "alpha", stdin=f"{ADA}\n", **mine)
    assert (kept.exit_code, "...vX2Q" in kept.stdout, ADA in kept.stdout + kept.stderr) == (0, True, False)
    put = run("credentials", "set", "beta", "--user", user_id, "--json", stdin=f"{BOB}\n", **theirs)
    assert json.loads(put.stdout)["provider"] == "beta"
    listed = run("credentials", "list", **mine)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["PROVIDER", "alpha", "beta"]
    assert program.chat(key, "alpha/alpha-1").headers["x-dominion-key"] == "own"
    assert run("credentials", "remove", "beta", **mine).stdout == "The key of beta is forgotten.\n"
    left = run("credentials", "list", "--user", user_id, "--json", **theirs)
    assert [each["provider"] for each in json.loads(left.stdout)["credentials"]] == ["alpha"]


def test_a_key_is_no_argument_and_goes_to_no_other_gateway(run: Run, program: Program) -> None:
    key = program.user()[1]
    mine = {"DOMINION_API_URL": program.url, "DOMINION_API_TOKEN": key}
    assert run("credentials", "set", "alpha", ADA, **mine).exit_code == 2
    elsewhere = run("credentials", "list", "--url", "http://127.0.0.1:9", **mine)
    assert (elsewhere.exit_code, "log in to" in elsewhere.stderr) == (2, True)
    assert run("credentials", "list", DOMINION_API_URL=program.url).exit_code != 0
    assert run("credentials", "list", "--user", "usr_1", **mine).exit_code != 0
