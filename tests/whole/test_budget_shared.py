"""A budget worth 50 requests admits exactly 50 of 200 that come at once to several processes on one database."""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.whole.faultd import FaultServer
from tests.whole.program import Program
from tests.whole.test_budget import BUDGETS, REQUESTS, TOKENS, WORTH, body, release

MODEL = f"faults/drip-{TOKENS}-5"
SOON = 2.5
BUDGET_OF_PROVIDER = {"scope": "provider:faults", "monthly_spend_cap_usd": "1.00"}


@contextmanager
def hosts(folder: Path, places: str, url: str, toml: str) -> Iterator[Sequence[Program]]:
    """Programs whose processes share a database: "one", "workers" or "hosts"."""
    with ExitStack() as stack:
        if places != "hosts":
            environment = ({"DATABASE_URL": url} if url else {}) | ({"WORKERS": "2"} if places == "workers" else {})
            yield [stack.enter_context(Program(folder, toml=toml, **environment))]
            return
        one = stack.enter_context(Program(folder / "one", toml=toml, DATABASE_URL=url))
        (folder / "two" / "data").mkdir(parents=True)
        shutil.copy(folder / "one" / "data" / "sealing.key", folder / "two" / "data")
        yield [one, stack.enter_context(Program(folder / "two", toml=toml, DATABASE_URL=url))]


async def released(programs: Sequence[Program], key: str, asked: bytes) -> list[int]:
    """REQUESTS at once, spread over the hosts."""
    each = REQUESTS // len(programs)
    found = await asyncio.gather(*(release(program, key, asked, each) for program in programs))
    return [status for statuses in found for status in statuses]


def heard(programs: Sequence[Program]) -> None:
    """Return when every process has had the time in which it promises to hear of a change."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        for program in programs:
            assert program.ask("GET", "/health").status == 200


def used(program: Program, user_id: str) -> dict[str, Any]:
    """The usage of a user when every process has posted its rows."""
    deadline = time.monotonic() + 5
    found: dict[str, Any] = program.usage(user_id)
    while found["requests"] < WORTH and time.monotonic() < deadline:
        found = program.usage(user_id)
    return found


@pytest.mark.parametrize(
    ("places", "database"), [("workers", "sqlite"), ("workers", "postgres"), ("hosts", "postgres")]
)
@pytest.mark.promise("003-206", "003-230")
@pytest.mark.parametrize("budget", [*BUDGETS, pytest.param("provider", marks=pytest.mark.soak)])
def test_exactly_50_of_200_requests_pass_a_budget_that_processes_share(
    folder: Path, places: str, database: str, budget: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    runs = int(os.environ.get("DOMINION_TEST_RUNS", "1"))
    with (
        FaultServer() as faults,
        hosts(folder, places, url, faults.toml(**{f"drip-{TOKENS}-5": 1000})) as programs,
    ):
        for _ in range(1 if budget == "provider" else runs):
            user_id, key = programs[0].user(**BUDGETS.get(budget, {}))
            if budget == "provider":
                programs[0].admin("PUT", "/admin/budgets", BUDGET_OF_PROVIDER)
                heard(programs)
            statuses = asyncio.run(released(programs, key, body(MODEL, max_tokens=TOKENS)))
            assert sorted(set(statuses)) == [200, 429], {status: statuses.count(status) for status in set(statuses)}
            assert statuses.count(200) == WORTH
            totals = used(programs[0], user_id)
            assert (totals["requests"], totals["cost_usd"]) == (WORTH, "1.000000000")


def test_a_host_that_was_killed_brings_back_what_it_had_leased_when_it_starts_again(
    folder: Path, postgres_url: str
) -> None:
    with hosts(folder, "hosts", postgres_url, "") as (one, other):
        user_id, key = one.user(daily_requests=WORTH)
        passed = sum(program.chat(key).status == 200 for program in (one, other) * 5)
        one.kill()
        passed += sum(other.chat(key).status == 200 for _ in range(5))
        one.start()
        for _ in range(2 * WORTH):
            passed += sum(program.chat(key).status == 200 for program in (one, other))
        assert passed == WORTH
        assert used(other, user_id)["requests"] == WORTH
