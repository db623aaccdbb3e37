"""Two gateways on one database, with a data folder each: what one is told the other obeys within two seconds."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.whole.program import Program

SOON = 2.0
SLACK = 1.0
"""Seconds for a machine with other things to do."""


@contextmanager
def two(folder: Path, **environment: str) -> Iterator[tuple[Program, Program]]:
    with Program(folder / "one", **environment) as one:
        (folder / "two" / "data").mkdir(parents=True)
        shutil.copy(folder / "one" / "data" / "sealing.key", folder / "two" / "data")
        with Program(folder / "two", **environment) as other:
            yield one, other


@pytest.fixture(params=["sqlite", "postgres"])
def both(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Program, Program]]:
    """Two gateways on one database."""
    if request.param == "sqlite":
        environment = {"SQLITE_PATH": str(folder / "shared" / "gateway.db")}
    else:
        environment = {"DATABASE_URL": request.getfixturevalue("postgres_url")}
    with two(folder, **environment) as (one, other):
        yield one, other


def seconds_until(status: int, ask: Callable[[], Any]) -> float:
    """How long it takes until the answer has this status."""
    began = time.monotonic()
    while (answer := ask()).status != status:
        assert answer.status in (200, 401, 403, 429), answer.body
        assert time.monotonic() - began < 30, (answer.status, answer.body)
    return time.monotonic() - began


@pytest.mark.promise("001-022")
def test_keys_users_and_limits_changed_at_one_hold_at_the_other(both: tuple[Program, Program]) -> None:
    one, other = both
    user_id, key = one.user()
    assert one.chat(key).status == other.chat(key).status == 200

    one.admin("POST", "/admin/limits", {"user_id": user_id, "daily_requests": 0})
    assert seconds_until(429, lambda: other.chat(key)) < SOON + SLACK
    other.admin("POST", "/admin/limits", {"user_id": user_id, "daily_requests": None})
    assert seconds_until(200, lambda: one.chat(key)) < SOON + SLACK

    one.admin("POST", f"/admin/users/{user_id}/suspend")
    assert seconds_until(403, lambda: other.chat(key)) < SOON + SLACK
    other.admin("POST", f"/admin/users/{user_id}/activate")
    assert seconds_until(200, lambda: one.chat(key)) < SOON + SLACK

    one.admin("DELETE", f"/admin/keys/{key.split('_')[1]}")
    assert seconds_until(401, lambda: other.chat(key)) < SOON + SLACK


def test_a_gateway_with_another_sealing_key_says_so(folder: Path, postgres_url: str) -> None:
    for name, told in (("one", False), ("one", False), ("two", True)):
        with Program(folder / name, DATABASE_URL=postgres_url) as program:
            pass
        assert ("is not the one that this database was made with" in "".join(program.lines)) is told


def test_what_both_answered_is_in_one_ledger(both: tuple[Program, Program]) -> None:
    one, other = both
    user_id, key = one.user()
    for program in (one, other, other):
        assert program.chat(key).status == 200
    other.usage(user_id)  # which writes what other has not written yet
    assert one.usage(user_id)["requests"] == 3
