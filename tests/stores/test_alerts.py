"""Alerts and their outbox, in every implementation."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dominion.domain.alerts import Delivery, Level, Notice
from dominion.domain.allowances import ScopeLimits
from dominion.domain.people import Limits
from dominion.domain.records import Totals
from dominion.domain.stores import AlertStore, BudgetStore, LedgerStore, PeopleStore
from dominion.stores.memory.accounts import MemoryLedger, MemoryPeople
from dominion.stores.memory.alerts import MemoryAlerts
from dominion.stores.memory.allowances import MemoryBudgets
from dominion.stores.sql.alerts import MOST_SCOPES, SqlAlerts
from dominion.stores.sql.budgets import SqlBudgets
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from dominion.stores.sql.people import SqlPeople
from tests.stores.implementations import KINDS
from tests.stores.samples import AT, DAY, MONTH, row, user

NOTICE = Notice("ntc_1", "limit", AT, "Größe ≠ 0", {"scope": "user:usr_1", "percent": 80, "nothing": None})
Kept = tuple[AlertStore, PeopleStore, BudgetStore, LedgerStore]
DUE_AGAIN = AT + 60_000


@pytest.fixture(params=KINDS)
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    """Alerts, people, budgets and a ledger, in each implementation."""
    if request.param == "memory":
        people, budgets, ledger = MemoryPeople(), MemoryBudgets(), MemoryLedger()
        yield MemoryAlerts(people, budgets, ledger), people, budgets, ledger
        return
    target = tmp_path / "gateway.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database.open(target)
    yield SqlAlerts(database), SqlPeople(database), SqlBudgets(database), SqlLedger(database)
    await database.close()


@pytest.fixture
def alerts(kept: Kept) -> AlertStore:
    return kept[0]


def notice(number: int, at: int = AT) -> Notice:
    return replace(NOTICE, id=f"ntc_{number}", at=at)


async def test_a_notice_comes_back_whole_and_is_new_once(alerts: AlertStore) -> None:
    assert await alerts.add([NOTICE], ["log", "webhook"]) == [NOTICE]
    again = replace(NOTICE, text="another", at=AT + 1)
    assert await alerts.add([again, notice(2, AT + 1)], ["log"]) == [notice(2, AT + 1)]
    assert await alerts.recent(10) == [
        (notice(2, AT + 1), [Delivery("log", next_at=AT + 1)]),
        (NOTICE, [Delivery("log", next_at=AT), Delivery("webhook", next_at=AT)]),
    ]
    assert await alerts.recent(1) == [(notice(2, AT + 1), [Delivery("log", next_at=AT + 1)])]


async def test_what_is_due_is_taken_by_one_the_oldest_first_and_is_due_again_later(alerts: AlertStore) -> None:
    await alerts.add([notice(2, AT + 1), notice(1), notice(3, AT + 9)], ["log", "webhook"])
    assert await alerts.next_due("log") == AT
    assert await alerts.take("log", AT - 1, DUE_AGAIN, 9) == []
    assert await alerts.take("log", AT + 1, DUE_AGAIN, 1) == [(notice(1), 1)]
    assert await alerts.take("log", AT + 1, DUE_AGAIN, 9) == [(notice(2, AT + 1), 1)]
    assert await alerts.take("log", AT + 1, DUE_AGAIN, 9) == []
    assert await alerts.next_due("log") == AT + 9
    assert await alerts.next_due("webhook") == AT
    assert await alerts.take("log", DUE_AGAIN, DUE_AGAIN + 1, 9) == [
        (notice(3, AT + 9), 1),
        (notice(1), 2),
        (notice(2, AT + 1), 2),
    ]


async def test_what_a_try_came_to_is_kept_with_the_number_of_tries(alerts: AlertStore) -> None:
    await alerts.add([notice(1), notice(2)], ["email"])
    await alerts.take("email", AT, DUE_AGAIN, 9)
    await alerts.settle("email", ["ntc_1"], Delivery("email", next_at=AT + 5, error="no"))
    await alerts.settle("email", ["ntc_2"], Delivery("email", error="never"))
    assert [deliveries for _, deliveries in await alerts.recent(9)] == [
        [Delivery("email", 1, AT + 5, None, "no")],
        [Delivery("email", 1, None, None, "never")],
    ]
    assert await alerts.take("email", AT + 5, DUE_AGAIN, 9) == [(notice(1), 2)]
    await alerts.settle("email", ["ntc_1"], Delivery("email", delivered_at=AT + 6))
    assert await alerts.next_due("email") is None
    assert (await alerts.recent(9))[0][1] == [Delivery("email", 2, None, AT + 6, "")]


async def test_old_notices_are_forgotten_with_their_deliveries(alerts: AlertStore) -> None:
    await alerts.add([notice(1), notice(2, AT + 1)], ["log"])
    await alerts.purge(AT + 1)
    assert [one for one, _ in await alerts.recent(9)] == [notice(2, AT + 1)]
    assert await alerts.next_due("log") == AT + 1


async def test_limited_scopes_come_with_what_is_used_and_users_above_a_part_of_their_spend(kept: Kept) -> None:
    alerts, people, budgets, ledger = kept
    spend = 2 * 772_500
    for number, limit in ((1, spend), (2, 2 * spend + 200), (3, None)):
        await people.add_user(user(number, limits=Limits(monthly_spend_nano=limit)))
    limits = ScopeLimits(1, 2, 3, 4, 5, 6, 7, 8, (10, 90))
    runs = ScopeLimits(hard_run_tokens=9, alerts=())
    for scope, of in (("provider:openai", limits), ("customer:acme", limits), ("run:r1", runs), ("key:k9", limits)):
        await budgets.put_budget(scope, of, AT // 1000)
    rows = [row(10 * of + one, user_id=f"usr_{of}", customer="acme", run="r1") for of in (1, 2, 3) for one in (1, 2)]
    await ledger.add(rows)
    six = Totals(6, 6 * 153, 6 * 772_500)
    budgeted = [
        Level("customer:acme", "d", DAY, six, limits),
        Level("customer:acme", "m", MONTH, six, limits),
        Level("provider:openai", "d", DAY, six, limits),
        Level("provider:openai", "m", MONTH, six, limits),
        Level("run:r1", "r", 0, six, runs),
    ]
    mine = Level("user:usr_1", "m", MONTH, Totals(2, 306, spend), ScopeLimits(monthly_spend_nano=spend))
    assert ordered(await alerts.levels(None, DAY, 50)) == [*budgeted, mine]
    assert ordered(await alerts.levels(None, DAY, 0)) == budgeted
    assert [one.scope for one in ordered(await alerts.levels(None, DAY, 49))][5:] == ["user:usr_1", "user:usr_2"]
    assert ordered(await alerts.levels({"user:usr_1", "user:usr_3", "run:r1"}, DAY, 50)) == [budgeted[4], mine]
    many = {"user:usr_1"} | {f"user:other_{number}" for number in range(MOST_SCOPES)}
    assert mine in await alerts.levels(many, DAY, 50)
    assert await alerts.levels({"user:usr_2", "provider:other"}, DAY, 50) == []
    assert [one.kind for one in await alerts.levels({"customer:acme"}, DAY + 1, 50)] == ["m"]


def ordered(levels: list[Level]) -> list[Level]:
    return sorted(levels, key=lambda one: (one.scope, one.kind))


async def test_of_two_processes_one_adds_a_notice_and_one_takes_it(two_processes: list[Database]) -> None:
    stores = [SqlAlerts(database) for database in two_processes]
    made = [notice(number) for number in range(60)]
    batches = [made[start : start + 30] for start in range(0, 60, 10)]
    added = await asyncio.gather(
        *[
            store.add(batch, ["log"])
            for batch in batches
            for store, batch in zip(stores, (batch, batch[::-1]), strict=True)
        ]
    )
    assert sorted(one.id for each in added for one in each) == sorted(one.id for one in made)
    taken = await asyncio.gather(*[store.take("log", AT, DUE_AGAIN, 7) for _ in range(20) for store in stores])
    assert sorted(one.id for each in taken for one, _ in each) == sorted(one.id for one in made)
