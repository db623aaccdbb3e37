"""A budget worth 50 requests admits exactly 50 of 200 that come at once: every kind of budget, wherever it is shared, a
hundred times each (DOMINION_TEST_RUNS), by callers whom the gateway has never seen before.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.whole.faultd import FaultServer
from tests.whole.program import Program
from tests.whole.test_budget import REQUESTS, TOKENS, WORTH, answers, body
from tests.whole.test_budget_shared import heard, hosts, used
from tests.whole.test_two_gateways import two

RUNS = int(os.environ.get("DOMINION_TEST_RUNS", "100"))
DRIP = f"drip-{TOKENS}-5"
CAP = {"monthly_spend_cap_usd": "1.00"}
"""With a price of $1,000 per million tokens and an input that costs nothing, each request holds and costs $0.02."""
PLACES = [("one", "sqlite"), ("one", "postgres"), ("workers", "sqlite"), ("workers", "postgres"), ("hosts", "postgres")]
KINDS = ("user", "requests", "key", "customer", "provider", "all", "edited")
"""What has the budget. "all": user, key, customer and provider at the same time; "edited": the user, whose limits are
saved again and again meanwhile."""

pytestmark = pytest.mark.soak


class Race(NamedTuple):
    """One run: a user and a key that were never used, what each request says, and who has the budget."""

    user_id: str
    key: str
    labels: str
    model: str
    budgets: tuple[str, ...]


def providers(url: str, count: int) -> str:
    """The same server as many providers, so that each race has a provider with a budget that was never touched."""
    return "".join(
        f'[[providers.openai_compat]]\nid = "faults-{number}"\nbase_url = "{url}"\napi_key = "k-0123456789"\n'
        f'[prices."faults-{number}/{DRIP}"]\ninput = 0\noutput = 1000\n'
        for number in range(count)
    )


def prepared(program: Program, kind: str, number: int) -> Race:
    """A race and its budgets, which the other processes have still to hear of."""
    limits: dict[str, dict[str, Any]] = {"requests": {"daily_requests": WORTH}, "user": CAP, "edited": CAP, "all": CAP}
    capped = limits.get(kind, {})
    user_id, key = program.user(**capped)
    customer = secrets.token_hex(8)
    scopes = {
        "key": f"key:{key.split('_')[1]}",
        "customer": f"customer:{customer}",
        "provider": f"provider:faults-{number}",
    }
    budgets = tuple(scope for name, scope in scopes.items() if kind in {name, "all"})
    for scope in budgets:
        program.admin("PUT", "/admin/budgets", {"scope": scope, **CAP})
    return Race(user_id, key, f"x-dominion-customer: {customer}\r\n", f"faults-{number}/{DRIP}", budgets)


async def run(programs: Sequence[Program], race: Race, *, stream: bool, meanwhile: Callable[[], Any] | None) -> int:
    """How many passed. All others were refused for the budget, and no stream was cut."""
    asked = body(race.model, max_tokens=TOKENS, stream=stream)
    each = REQUESTS // len(programs)
    running = asyncio.gather(*(answers(program, race.key, asked, each, race.labels) for program in programs))
    while meanwhile is not None and not running.done():
        await asyncio.to_thread(meanwhile)
    passed = [answer for answers in await running for answer in answers if answer.startswith(b"HTTP/1.1 200 ")]
    refused = [answer for answers in running.result() for answer in answers if answer.startswith(b"HTTP/1.1 429 ")]
    assert len(passed) + len(refused) == REQUESTS, [answer[:300] for found in running.result() for answer in found]
    end = b"data: [DONE]\n\n\r\n0\r\n\r\n" if stream else b"}"
    assert all(answer.endswith(end) for answer in passed)
    assert all(b'"limit"' in answer and b'"used"' in answer and b'"resets_at"' in answer for answer in refused)
    return len(passed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("places", "database"), PLACES)
def test_exactly_50_of_200_pass(
    folder: Path, places: str, database: str, kind: str, request: pytest.FixtureRequest, *, stream: bool
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    runs = RUNS if kind == "user" else max(1, RUNS // 5)
    with FaultServer() as faults, hosts(folder, places, url, providers(faults.url, runs)) as programs:
        races = [prepared(programs[0], kind, number) for number in range(runs)]
        if any(race.budgets for race in races):
            heard(programs)

        def edit(race: Race) -> None:
            programs[-1].admin("POST", "/admin/limits", {"user_id": race.user_id, **CAP})

        passed, spent = [], []
        for race in races:
            meanwhile = (lambda race=race: edit(race)) if kind == "edited" else None
            passed.append(asyncio.run(run(programs, race, stream=stream, meanwhile=meanwhile)))
            totals = used(programs[0], race.user_id)
            spent.append((totals["requests"], totals["cost_usd"]))
        assert len(faults.executions) == sum(passed)
    sys.stdout.write(
        f"R5 {places} {database} {kind} {'stream' if stream else 'whole'}: {runs} runs of {REQUESTS}, passed"
        f" {min(passed)} to {max(passed)}, spent ${min(spent)[1]} to ${max(spent)[1]}, bar {WORTH} and $1.00\n"
    )
    assert passed == [WORTH] * runs
    assert spent == [(WORTH, "1.000000000")] * runs


def test_the_control_of_gateways_that_share_no_limits_overshoots(folder: Path) -> None:
    with FaultServer() as faults, ExitStack() as stack:
        programs = stack.enter_context(
            two(folder, SQLITE_PATH=str(folder / "shared.db"), toml=providers(faults.url, 1))
        )
        race = prepared(programs[0], "user", 0)
        passed = asyncio.run(run(programs, race, stream=False, meanwhile=None))
    sys.stdout.write(f"R5 control, two gateways on one SQLite file: {passed} passed\n")
    assert passed > WORTH
