"""The first start, a start that the configuration forbids, and an end that lets running answers end."""

import json
import os
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dominion.domain.records import Certainty, Outcome
from tests.whole.program import Program
from tests.whole.streams import Stream


@pytest.mark.promise("000-016", "000-072", "001-026")
def test_the_first_start_shows_a_token_and_a_key_once_and_both_work_from_then_on(folder: Path) -> None:
    program = Program(folder, ADMIN_TOKEN="")
    with program:
        pass
    first = "".join(program.lines)
    (token,) = re.findall(r"export ADMIN_TOKEN=(\S+)", first)
    (key,) = re.findall(r"export DOMINION_API_TOKEN=(dom_\S+)", first)
    address, body = re.findall(r"curl http://[^/]+(/\S+).*?-d '([^']+)'", first, re.DOTALL)[0]
    program.lines.clear()
    with program:
        program.admin_token = token
        (user,) = program.admin("GET", "/admin/users")["users"]
        answer = program.ask("POST", address, body.encode(), token=key)
        assert (answer.status, answer.json["content"].endswith("Hello!")) == (200, True)
        assert program.usage(user["id"])["requests"] == 1
        assert program.ask("GET", "/admin/users", token=f"{token}x").status == 401
    second = "".join(program.lines)
    assert token not in second
    assert key not in second
    assert "export" not in second


WRONG: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "a key that nobody knows": (
        "[limits]\ndaily_request = 5\n",
        {},
        ["dominion.toml", "limits.daily_request", "limits.daily_requests"],
    ),
    "a provider that nobody knows": (
        '[[providers.openai_compat]]\nid = "grok"\napi_key = "k-0123456789"\n',
        {},
        ["dominion.toml", "providers.openai_compat[0].base_url", "groq"],
    ),
    "a value of the environment": ("", {"DEFAULT_DAILY_TOKENS": "lots"}, ["DEFAULT_DAILY_TOKENS", "lots"]),
    "two mistakes at once": (
        "[server]\nprot = 1\n",
        {"LOG_LEVEL": "loud"},
        ["server.prot", "server.port", "LOG_LEVEL", "loud"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_stops_the_start_and_names_place_key_and_nearest_key(folder: Path, case: str) -> None:
    toml, environment, named = WRONG[case]
    program = Program(folder, toml=toml, **environment)
    with pytest.raises(AssertionError, match="ended at its start"), program:
        pass
    assert ended(program) == 1
    said = "".join(program.lines)
    assert "Traceback" not in said
    for name in named:
        assert name in said
    assert not (folder / "data").exists()


def test_a_port_that_is_taken_is_said_to_be(program: Program, folder: Path) -> None:
    second = Program(folder, PORT=program.url.rsplit(":", 1)[1])
    with pytest.raises(AssertionError, match=r"Cannot listen on 127.0.0.1 port \d+"), second:
        pass
    assert ended(second) == 1


def ended(program: Program) -> int:
    """The exit code of a program that ends by itself, or was told to before."""
    assert program.process is not None
    program.process.wait(30)
    return program.stop()


def rows(program: Program) -> list[Any]:
    """(outcome, certainty, output tokens) of every row that an ended program left."""
    with sqlite3.connect(program.folder / "data" / "gateway.db") as database:
        found = database.execute("select outcome, certainty, output_tokens from usage").fetchall()
    database.close()
    return found


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_running_stream_end_and_then_ends_in_good_order(folder: Path, sign: signal.Signals) -> None:
    with Program(folder) as program:
        with Stream(program, program.user()[1], "stub/drip-40x10", stream_options={"include_usage": True}) as stream:
            stream.event()
            os.kill(program.pid, sign)
            *_, usage, end = stream.rest()
        assert end == b"[DONE]"
        assert json.loads(usage)["usage"]["completion_tokens"] == 40
        assert ended(program) == 0
    assert rows(program) == [(Outcome.OK, Certainty.MEASURED, 40)]


def test_a_stream_that_outlasts_the_drain_is_told_so_and_paid_for_as_far_as_it_came(folder: Path) -> None:
    with Program(folder, DRAIN_SECONDS="1") as program:
        with Stream(program, program.user()[1], "stub/drip-1000x20") as stream:
            stream.event()
            os.kill(program.pid, signal.SIGTERM)
            *_, error, end = stream.rest()
        assert "shutting down" in json.loads(error)["error"]["message"]
        assert end == b"[DONE]"
        assert ended(program) == 0
    ((outcome, certainty, tokens),) = rows(program)
    assert (outcome, certainty) == (Outcome.CANCELLED, Certainty.ESTIMATED)
    assert 1 <= tokens < 100
