"""R7: callers whose requests cost a tenth of what is held for each get nearly all of a budget before they are refused,
wherever it is shared; and when thousands of requests have ended in every way, nothing is held any more.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.whole.faultd import FaultServer
from tests.whole.program import Program
from tests.whole.test_budget import body, release
from tests.whole.test_budget_shared import hosts

DOLLARS = int(os.environ.get("DOMINION_TEST_DOLLARS", "10"))
CALLERS = 32
LEAST = 0.95
COST = 0.005
"""Dollars an answer costs; each is held as ten times that."""
PLACES = [("one", "sqlite"), ("one", "postgres"), ("workers", "sqlite"), ("workers", "postgres"), ("hosts", "postgres")]

pytestmark = pytest.mark.soak


async def until_refused(programs: Sequence[Program], key: str) -> tuple[int, int]:
    """Ask until nobody is answered any more, three times over; answers before the first refusal, and all."""
    asked = body("faults/drip-5-1", max_tokens=50)
    each = CALLERS // len(programs)
    passed, refused, first = 0, 0, 0
    while refused < 3:
        found = await asyncio.gather(*(release(program, key, asked, each) for program in programs))
        statuses = [status for statuses in found for status in statuses]
        assert {*statuses} <= {200, 429}, statuses
        passed += statuses.count(200)
        first = first or (passed if 429 in statuses else 0)
        refused = refused + 1 if 200 not in statuses else 0
    return first, passed


def spend(folder: Path, places: str, url: str, dollars: int) -> tuple[float, float]:
    """Which part of a budget was spent at the first refusal, and at the end."""
    with FaultServer() as faults, hosts(folder, places, url, faults.toml(**{"drip-5-1": 1000})) as programs:
        user_id, key = programs[0].user(monthly_spend_cap_usd=f"{dollars}.00")
        first, passed = asyncio.run(until_refused(programs, key))
        for program in programs:
            program.usage(user_id)  # which writes what it has not written yet
        totals = programs[0].usage(user_id)
        assert totals["requests"] == passed
        spent = float(totals["cost_usd"])
        assert spent <= dollars
        return first * COST / dollars, spent / dollars


@pytest.mark.parametrize(("places", "database"), PLACES)
def test_small_calls_use_at_least_95_percent_of_a_shared_budget(
    folder: Path, places: str, database: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    first, last = spend(folder, places, url, DOLLARS)
    sys.stdout.write(
        f"R7 {places} {database}: {first:.1%} of ${DOLLARS} spent at the first refusal, {last:.1%} at the end\n"
    )
    assert last >= LEAST


def test_the_control_of_a_host_that_hangs_with_what_it_has_leased_leaves_that_unspent(
    folder: Path, postgres_url: str
) -> None:
    with (
        FaultServer() as faults,
        hosts(folder, "hosts", postgres_url, faults.toml(**{"drip-5-1": 1000})) as (one, other),
    ):
        _, key = one.user(monthly_spend_cap_usd=f"{DOLLARS}.00")
        assert other.chat(key, "faults/drip-5-1", max_tokens=50).status == 200
        os.kill(other.pid, signal.SIGSTOP)
        try:
            _, passed = asyncio.run(until_refused([one], key))
        finally:
            os.kill(other.pid, signal.SIGCONT)
    sys.stdout.write(f"R7 control: {passed * COST / DOLLARS:.1%} of ${DOLLARS} spent at the end\n")
    assert passed * COST / DOLLARS < LEAST
