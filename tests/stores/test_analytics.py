"""Figures over all users, in every implementation; and that they are what the rows add up to, also after an upgrade."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect

from dominion.domain.analytics import Counted, Timed
from dominion.domain.records import Outcome, Totals
from dominion.stores.migrations.upgrade import upgrade
from dominion.stores.schema.analytics import usage_customers, usage_days
from dominion.stores.schema.tables import usage
from dominion.stores.sql.analytics import CUSTOMERS, DAYS, USERS, SqlAnalytics
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from dominion.stores.sums import GroupSums
from tests.stores.implementations import Stores, emptied
from tests.stores.older import engine_of
from tests.stores.samples import AT, DAY, MONTH, ROW, row

DAY_MS = 86_400_000
NOTHING = dict.fromkeys(
    ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"), 0
)
ROWS = [
    row(1, outcome=Outcome.OK),
    row(2, outcome=Outcome.CANCELLED, customer="acme", user_id="usr_2", cost_nano=5_000_000),
    row(3, outcome=Outcome.CUT, model="gpt-4o-mini", at=AT + 1),
    row(4, outcome=Outcome.FAILED, customer="acme", cost_nano=0, at=AT + 2, **NOTHING),
    row(5, outcome=Outcome.LOST, provider="anthropic", model="claude", at=AT + DAY_MS),
    row(6, outcome=Outcome.CORRECTION, cost_nano=-72_500, at=AT + 3, **NOTHING),
    row(7, outcome=Outcome.OK, at=AT + 40 * DAY_MS, customer="acme"),
]


def counted(
    name: str, requests: int, failed: int, cancelled: int, broken: int, sent: int, got: int, nano: int
) -> Counted:
    """Sums of so many rows as `row` makes them, each with the same tokens."""
    each = sent // ROW.input_tokens
    cached = each * ROW.cache_read_tokens, each * ROW.cache_write_tokens
    return Counted(name, requests, failed, sent, got, *cached, each * ROW.reasoning_tokens, nano, cancelled, broken)


SUMS = counted("", 1, 0, 0, 0, 101, 52, 772_500)


async def filled(stores: Stores) -> Stores:
    await stores.ledger.add(ROWS[:3])
    await stores.ledger.add(ROWS)
    return stores


@pytest.mark.promise("003-153", "002-060")
async def test_providers_come_with_their_sums_the_most_expensive_first(stores: Stores) -> None:
    await filled(stores)
    assert await stores.analytics.days("provider", DAY, DAY + 1) == [
        counted("openai", 3, 1, 1, 1, 303, 156, 5_000_000 + 772_500 * 2 - 72_500),
        counted("anthropic", 1, 0, 0, 0, 101, 52, 772_500),
    ]


@pytest.mark.promise("003-154", "002-057")
async def test_models_come_with_their_provider_and_their_tokens(stores: Stores) -> None:
    await filled(stores)
    assert await stores.analytics.days("model", DAY, DAY) == [
        counted("openai/gpt-4o", 2, 1, 1, 0, 202, 104, 5_000_000 + 772_500 - 72_500),
        counted("openai/gpt-4o-mini", 1, 0, 0, 1, 101, 52, 772_500),
    ]


@pytest.mark.promise("002-062")
async def test_days_come_in_their_order_and_only_those_asked_for(stores: Stores) -> None:
    await filled(stores)
    found = await stores.analytics.days("day", DAY, DAY + 39)
    assert [(one.name, one.requests) for one in found] == [("2026-09-21", 3), ("2026-09-22", 1)]
    assert await stores.analytics.days("day", DAY + 2, DAY + 39) == []


@pytest.mark.promise("002-058")
async def test_customers_come_with_the_sums_of_a_month_and_so_does_whoever_named_none(stores: Stores) -> None:
    await filled(stores)
    nobody = counted("", 3, 0, 0, 1, 303, 156, 772_500 * 3 - 72_500)
    acme = counted("acme", 1, 1, 1, 0, 101, 52, 5_000_000)
    assert await stores.analytics.customers(MONTH, 10) == [acme, nobody]
    assert await stores.analytics.customers(MONTH, 1) == [acme]
    assert await stores.analytics.customers(MONTH + 1, 10) == [counted("acme", 1, 0, 0, 0, 101, 52, 772_500)]
    assert await stores.analytics.customers(MONTH - 1, 10) == []


async def test_users_come_with_the_sums_of_a_month_and_nothing_else_does(stores: Stores) -> None:
    await filled(stores)
    first, second = ("usr_2", Totals(1, 153, 5_000_000)), ("usr_1", Totals(3, 459, 772_500 * 3 - 72_500))
    assert await stores.analytics.users(MONTH, 10) == [first, second]
    assert await stores.analytics.users(MONTH, 1) == [first]


async def test_the_newest_requests_come_first_without_corrections(stores: Stores) -> None:
    await filled(stores)
    found = await stores.analytics.newest(AT + 1, 3)
    assert found == [
        Timed(AT + 40 * DAY_MS, "openai", "gpt-4o", 0, 52, 1801, 302),
        Timed(AT + DAY_MS, "anthropic", "claude", 4, 52, 1801, 302),
        Timed(AT + 2, "openai", "gpt-4o", 3, 0, 1801, 302),
    ]
    assert [one.at for one in await stores.analytics.newest(AT + 1, 10)][3:] == [AT + 1]


async def test_a_request_that_is_taken_back_is_one_less(stores: Stores) -> None:
    lost, found = row(1, outcome=Outcome.LOST), row(2, outcome=Outcome.FOUND, cost_nano=-772_500, input_tokens=-101)
    await stores.ledger.add([lost, found])
    (sums,) = await stores.analytics.days("provider", DAY, DAY)
    assert (sums.requests, sums.input_tokens, sums.cost_nano) == (0, 0, 0)


async def test_an_upgrade_makes_the_figures_of_the_rows_that_are_there(target: Path | str) -> None:
    old = engine_of(target)
    with old.begin() as connection:
        upgrade(connection, None, to="0006")
        columns = [column["name"] for column in inspect(connection).get_columns("usage")]
        taken_back = row(8, outcome=Outcome.FOUND, input_tokens=-1, output_tokens=-1, cost_nano=-1, customer="acme")
        connection.execute(
            insert(usage), [{name: getattr(one, name) for name in columns} for one in (*ROWS, taken_back)]
        )
    old.dispose()
    upgraded = await figures(target)
    database = Database.open(target)
    await database.write(emptied)
    await SqlLedger(database).add([*ROWS, taken_back])
    await database.close()
    assert upgraded == await figures(target)
    assert len(upgraded[0]) == 2


async def figures(target: Path | str) -> list[list[Counted]]:
    database = Database.open(target)
    analytics = SqlAnalytics(database)
    found = [
        *[await analytics.days(group, 0, 10**6) for group in ("provider", "model", "day")],
        *[await analytics.customers(month, 10) for month in (MONTH, MONTH + 1)],
    ]
    await database.close()
    return found


def test_the_columns_of_the_roll_ups_are_what_rows_are_added_up_to() -> None:
    for table in (usage_days, usage_customers):
        counts = tuple(column.name for column in table.c if not column.primary_key)
        assert counts == GroupSums.__struct_fields__ == Counted.__struct_fields__[1:]


async def test_figures_over_days_and_months_never_read_rows_or_hours(database: Database) -> None:
    def plans() -> list[str]:
        found: list[str] = []
        with database.engine.begin() as connection:
            for statement in (*DAYS.values(), CUSTOMERS, USERS):
                sql = str(statement.compile(database.engine))
                values = tuple(["m"] * sql.count("?"))
                found += [str(step[3]) for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
        return found

    steps = [step for step in await asyncio.to_thread(plans) if "TEMP B-TREE" not in step]
    assert [step.split(" USING ")[0] for step in steps] == [
        *["SEARCH usage_days"] * 3,
        "SEARCH usage_customers",
        "SEARCH usage_windows",
    ]
