"""Limits of scopes are kept as they were set, and their windows begin with what was used before."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dominion.domain.allowances import NOTHING, Amount, Report, ScopeLimits, Want, WindowKey
from dominion.domain.records import Outcome, Totals, UsageRow
from dominion.domain.stores import AllowanceStore, BudgetStore, LedgerStore
from dominion.stores.memory.accounts import MemoryLedger, Tables
from dominion.stores.memory.allowances import MemoryAllowances, MemoryBudgets
from dominion.stores.sql.allowances import SqlAllowances
from dominion.stores.sql.budgets import SqlBudgets
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from tests.stores.implementations import KINDS
from tests.stores.samples import AT, DAY, MONTH, row

LIMITS = ScopeLimits(1, 2, 3, 4, 5, 6, 7, 8, (10, 90))
ONE = Totals(requests=1, tokens=153, spend_nano=772_500)
Kept = tuple[BudgetStore, LedgerStore, AllowanceStore]


@pytest.fixture(params=KINDS)
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    """Budgets, a ledger of the process "a", and its allowances, in each implementation."""
    if request.param == "memory":
        ledger = MemoryLedger(tables=Tables(), process_id="a")
        yield MemoryBudgets(), ledger, MemoryAllowances(ledger)
        return
    target = tmp_path / "gateway.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database.open(target)
    sql = SqlLedger(database, "a")
    yield SqlBudgets(database), sql, SqlAllowances(database, sql)
    await database.close()


@pytest.mark.promise("003-139")
async def test_budgets_come_back_as_they_were_set_and_go_when_removed(kept: Kept) -> None:
    budgets, _, _ = kept
    await budgets.put_budget("provider:openai", LIMITS, AT // 1000)
    await budgets.put_budget("run:*", ScopeLimits(alerts=()), AT // 1000)
    assert await budgets.budgets() == {"provider:openai": LIMITS, "run:*": ScopeLimits(alerts=())}
    await budgets.put_budget("run:*", ScopeLimits(), AT // 1000)
    assert (await budgets.budgets())["run:*"].alerts == (50, 80, 100)
    assert await budgets.remove_budget("run:*")
    assert not await budgets.remove_budget("run:*")
    assert set(await budgets.budgets()) == {"provider:openai"}


@pytest.mark.parametrize("scope", ["key:k1", "customer:acme"])
async def test_a_new_budget_counts_what_was_used_this_month_and_every_row_that_follows(kept: Kept, scope: str) -> None:
    budgets, ledger, _ = kept
    day = 86_400_000
    before = [row(1), row(2, at=AT - 3 * day), row(3, at=AT - 40 * day), row(4, outcome=Outcome.FAILED)]
    others = [row(5, key_id="k2", customer="other")]
    correction = row(6, outcome=Outcome.CORRECTION, input_tokens=0, output_tokens=0, cost_nano=-500)
    labelled = [one if one in others else _acme(one) for one in (*before, *others, correction)]
    await ledger.add(labelled)
    await budgets.put_budget(scope, LIMITS, AT // 1000)
    await ledger.add([_acme(row(7)), row(8, key_id="k2")])
    keys: list[WindowKey] = [(scope, "d", DAY), (scope, "m", MONTH), (scope, "d", DAY - 3)]
    assert await ledger.windows(keys) == [
        Totals(2, 306, 2 * 772_500 - 500),
        Totals(3, 459, 3 * 772_500 - 500),
        ONE,
    ]


def _acme(one: UsageRow) -> UsageRow:
    return replace(one, customer="acme")


async def test_providers_have_windows_always_and_runs_from_the_day_that_runs_have_caps(kept: Kept) -> None:
    budgets, ledger, _ = kept
    await budgets.put_budget("run:*", ScopeLimits(hard_run_tokens=1), AT // 1000)
    await ledger.add([row(1, run="r1"), row(2, run="r1", at=AT + 90 * 86_400_000), row(3, run="r2")])
    assert await ledger.windows([("run:r1", "r", 0), ("run:r2", "r", 0), ("provider:openai", "d", DAY)]) == [
        Totals(2, 306, 1_545_000),
        ONE,
        Totals(2, 306, 1_545_000),
    ]


async def test_a_run_with_caps_of_its_own_is_counted_though_not_every_run_has_caps(kept: Kept) -> None:
    budgets, ledger, _ = kept
    await budgets.put_budget("run:r1", ScopeLimits(hard_run_tokens=1), AT // 1000)
    await ledger.add([row(1, run="r1"), row(2, run="r1")])
    assert await ledger.windows([("run:r1", "r", 0)]) == [Totals(2, 306, 1_545_000)]


KEY: WindowKey = ("user:usr_1", "m", MONTH)
LIMIT = Amount(1 << 62, 1 << 62, 10_000_000)


def want(spend: int, *, partly: bool = False) -> Want:
    return Want(KEY, LIMIT, Amount(0, 0, spend), partly=partly)


async def test_what_is_granted_and_what_is_settled_never_pass_the_limit(kept: Kept) -> None:
    _, ledger, allowances = kept
    assert await allowances.join("a") == await allowances.join("b") == 1
    (first,) = await allowances.take("a", [want(772_500)], ["b"])
    assert first.more.spend_nano == 10_000_000 // 8  # a slice of what is left
    await ledger.add([row(1)])  # a's own: leased becomes settled, and no room appears
    (rest,) = await allowances.take("b", [want(10_000_000, partly=True)], ["a"])
    assert (rest.more.spend_nano, rest.asked) == (10_000_000 - first.more.spend_nano, True)
    assert rest.used.spend_nano == 10_000_000
    (none,) = await allowances.take("b", [want(1)], ["a"])
    assert (none.more, none.asked) == (NOTHING, True)


async def test_what_is_recalled_and_returned_can_be_leased_by_another(kept: Kept) -> None:
    _, _, allowances = kept
    await allowances.join("a")
    await allowances.join("b")
    await allowances.take("a", [want(9_000_000)], ["b"])
    assert await allowances.recalled("a") == []
    await allowances.take("b", [want(2_000_000)], ["a"])
    assert await allowances.recalled("a") == [KEY]
    kept_back = Amount(0, 0, 4_000_000)
    peers = await allowances.report("a", 1, [Report(KEY, kept_back, kept_back)])
    assert peers is not None
    assert {(peer.process, peer.life, peer.lost) for peer in peers} == {("a", 1, False), ("b", 1, False)}
    assert await allowances.recalled("a") == []
    (taken,) = await allowances.take("b", [want(6_000_000)], ["a"])
    assert taken.more.spend_nano == 6_000_000


async def test_only_the_present_life_of_a_process_is_heard(kept: Kept) -> None:
    _, _, allowances = kept
    assert await allowances.join("a") == 1
    assert await allowances.join("a") == 2
    assert await allowances.report("a", 1, []) is None
    assert await allowances.report("a", 2, []) is not None


async def test_a_process_that_was_heard_since_is_not_declared_lost(kept: Kept) -> None:
    _, _, allowances = kept
    await allowances.join("b")
    (peer,) = await allowances.report("b", 1, []) or []
    await allowances.report("b", 1, [])
    assert not await allowances.lose(peer, AT)
    (now,) = await allowances.report("b", 1, []) or []
    assert await allowances.lose(now, AT)
    assert not await allowances.lose(now, AT)
    assert await allowances.report("b", 1, []) is None


async def test_whatever_a_lost_process_used_in_other_scopes_stays_set_aside(kept: Kept) -> None:
    _, ledger, allowances = kept
    provider: WindowKey = ("provider:openai", "m", MONTH)
    await allowances.join("b")
    for key in (KEY, provider):
        await allowances.take("b", [Want(key, LIMIT, Amount(0, 0, 5_000_000))], [])
        spent = Amount(0, 0, 2_000_000)
        peers = await allowances.report("b", 1, [Report(key, Amount(0, 0, 5_000_000), spent)])
    assert peers is not None
    assert await allowances.lose(peers[0], AT)
    assert [(one.user_id, one.cost_nano) for one in await ledger.rows(user_id=None, limit=9)] == [("usr_1", 2_000_000)]
    await allowances.join("a")
    for key in (KEY, provider):
        (taken,) = await allowances.take("a", [Want(key, LIMIT, Amount(0, 0, 10_000_000), partly=True)], [])
        assert taken.more.spend_nano == 8_000_000


async def test_leases_of_days_long_past_are_forgotten(kept: Kept) -> None:
    _, _, allowances = kept
    await allowances.join("a")
    old: WindowKey = ("user:usr_1", "d", DAY)
    await allowances.take("a", [Want(old, LIMIT, Amount(0, 0, 10_000_000))], [])
    await allowances.purge(DAY + 1, MONTH)
    assert (await allowances.take("a", [Want(old, LIMIT, Amount(0, 0, 1))], []))[0].more == NOTHING
    await allowances.purge(DAY + 3, MONTH)
    assert (await allowances.take("a", [Want(old, LIMIT, Amount(0, 0, 1))], []))[0].more


async def test_two_processes_that_ask_at_the_same_time_for_many_windows_never_wait_in_a_circle(
    two_processes: list[Database],
) -> None:
    stores = [SqlAllowances(one, SqlLedger(one, name)) for one, name in zip(two_processes, "ab", strict=True)]
    for store, name in zip(stores, "ab", strict=True):
        await store.join(name)
    keys: list[WindowKey] = [(f"user:{number}", kind, 1) for number in range(5) for kind in "dmc"]
    wants = [Want(key, Amount(100, 100, 100), Amount(1, 1, 1)) for key in keys]

    async def ask(which: int, *, backwards: bool) -> None:
        for _ in range(20):
            order = wants[::-1] if backwards else wants
            await stores[which].take("ab"[which], order, ["ab"[1 - which]])
            rows = [row(1000 + which * 500 + at, user_id=str(at % 5), at=86_400_000) for at in range(20)]
            await SqlLedger(two_processes[which], "ab"[which]).add(rows)

    await asyncio.gather(ask(0, backwards=False), ask(1, backwards=True))
