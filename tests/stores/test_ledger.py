"""Ledger rows, their windows and roll-ups, in every implementation."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from dominion.domain.errors import StorageUnavailable
from dominion.domain.records import Outcome, Totals, UsageRow, UsageSummary
from dominion.rules.windows import day_from_iso
from dominion.stores.schema.tables import usage, usage_hours
from dominion.stores.sql import ledger as ledger_module
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from dominion.stores.sums import HourSums
from tests.stores.implementations import Making, Stores
from tests.stores.samples import AT, DAY, MONTH, ROW, row

HOUR = 3_600_000
ONE = Totals(requests=1, tokens=153, spend_nano=772_500)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


async def test_rows_come_back_as_they_went_in_newest_first(stores: Stores) -> None:
    rows = [row(1), row(2, at=AT + 5, stream=False, over_hold=True, outcome=0, error=""), row(3, at=AT - 5)]
    assert await stores.ledger.add(rows) == 3
    assert await stores.ledger.rows(user_id=None, limit=10) == [rows[1], rows[0], rows[2]]
    assert await stores.ledger.rows(user_id=None, limit=1) == [rows[1]]


async def test_rows_of_one_user_are_only_theirs(stores: Stores) -> None:
    await stores.ledger.add([row(1), row(2, user_id="usr_2"), row(3)])
    assert [one.id for one in await stores.ledger.rows(user_id="usr_1", limit=10)] == ["req_3", "req_1"]
    assert await stores.ledger.rows(user_id="usr_3", limit=10) == []


async def test_a_row_counts_in_the_day_and_month_of_its_time(stores: Stores) -> None:
    await stores.ledger.add([row(1), row(2, at=AT + 24 * HOUR)])
    assert await stores.ledger.totals("usr_1", DAY, MONTH) == (ONE, Totals(2, 306, 1_545_000))
    assert await stores.ledger.totals("usr_1", DAY - 1, MONTH - 1) == (Totals(), Totals())
    assert await stores.ledger.totals("usr_2", DAY, MONTH) == (Totals(), Totals())


@pytest.mark.parametrize(
    ("last", "first"),
    [("2028-02-29T23:59:59.999Z", "2028-03-01T00:00:00.000Z"), ("2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z")],
)
async def test_the_last_millisecond_of_a_month_belongs_to_it_and_the_next_does_not(
    stores: Stores, last: str, first: str
) -> None:
    before, after = datetime.fromisoformat(last), datetime.fromisoformat(first)
    await stores.ledger.add([row(1, at=at(last), cost_nano=1), row(2, at=at(first), cost_nano=2)])
    for moment, spend in ((before, 1), (after, 2)):
        day, month = int(moment.timestamp()) // 86_400, moment.year * 12 + moment.month - 1
        assert await stores.ledger.totals("usr_1", day, month) == (Totals(1, 153, spend), Totals(1, 153, spend))


async def test_a_row_whose_id_exists_is_left_alone_and_counts_once(stores: Stores) -> None:
    assert await stores.ledger.add([ROW]) == 1
    assert await stores.ledger.add([row(0, cost_nano=9, at=AT + HOUR), row(1)]) == 1
    assert await stores.ledger.add([]) == 0
    assert await stores.ledger.rows(user_id=None, limit=10) == [row(1), ROW]
    assert await stores.ledger.totals("usr_1", DAY, MONTH) == (Totals(2, 306, 1_545_000), Totals(2, 306, 1_545_000))


async def test_of_rows_with_one_id_in_a_batch_the_first_counts(stores: Stores) -> None:
    assert await stores.ledger.add([ROW, row(0, cost_nano=9), ROW]) == 1
    assert await stores.ledger.rows(user_id=None, limit=10) == [ROW]
    assert await stores.ledger.totals("usr_1", DAY, MONTH) == (ONE, ONE)


async def test_many_batches_of_the_same_rows_at_once_count_once(stores: Stores) -> None:
    rows = [row(number) for number in range(50)]
    added = await asyncio.gather(*(stores.ledger.add(rows[start:]) for start in range(0, 50, 5)))
    assert sum(added) == 50
    assert await stores.ledger.totals("usr_1", DAY, MONTH) == (Totals(50, 50 * 153, 50 * 772_500),) * 2


async def test_a_large_batch_finds_every_row_that_exists(stores: Stores) -> None:
    rows = [row(number) for number in range(2 * ledger_module.IDS_PER_QUERY + 7)]
    assert await stores.ledger.add(rows[::3]) == len(rows[::3])
    assert await stores.ledger.add(rows) == len(rows) - len(rows[::3])
    day, month = await stores.ledger.totals("usr_1", DAY, MONTH)
    assert (day.requests, month.requests) == (len(rows), len(rows))


async def test_a_failed_request_counts_as_failed_and_in_nothing_else(stores: Stores) -> None:
    await stores.ledger.add([row(1, outcome=Outcome.FAILED)])
    assert await stores.ledger.totals("usr_1", DAY, MONTH) == (Totals(), Totals())
    (found,) = await stores.ledger.summary(user_id="usr_1", first_day=DAY, last_day=DAY)
    assert found == UsageSummary("2026-09-21", "usr_1", "openai", "gpt-4o", 0, 1, 0, 0, 0, 0, 0, 0)
    assert len(await stores.ledger.rows(user_id=None, limit=10)) == 1


async def test_a_summary_adds_the_hours_of_a_day_by_user_provider_and_model(stores: Stores) -> None:
    await stores.ledger.add([row(1), row(2, at=AT - 13 * HOUR), row(3, model="a"), row(4, user_id="usr_0")])
    await stores.ledger.add([row(5, provider="anthropic"), row(6, outcome=Outcome.FAILED)])
    found = await stores.ledger.summary(user_id=None, first_day=DAY, last_day=DAY)
    both = UsageSummary("2026-09-21", "usr_1", "openai", "gpt-4o", 2, 1, 202, 104, 26, 28, 30, 1_545_000)
    assert found[-1] == both
    assert [(one.user_id, one.provider, one.model) for one in found] == [
        ("usr_0", "openai", "gpt-4o"),
        ("usr_1", "anthropic", "gpt-4o"),
        ("usr_1", "openai", "a"),
        ("usr_1", "openai", "gpt-4o"),
    ]
    assert await stores.ledger.summary(user_id="usr_1", first_day=DAY, last_day=DAY) == found[1:]


async def test_a_summary_holds_both_its_first_and_its_last_day_and_no_other(stores: Stores) -> None:
    midnight = DAY * 24 * HOUR
    moments = [midnight - 1, midnight, midnight + 48 * HOUR - 1, midnight + 48 * HOUR]
    await stores.ledger.add([row(number, at=moment) for number, moment in enumerate(moments)])
    found = await stores.ledger.summary(user_id=None, first_day=DAY, last_day=DAY + 1)
    assert [one.day for one in found] == ["2026-09-21", "2026-09-22"]
    assert [one.requests for one in found] == [1, 1]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_a_summary_are_the_whole_of_it(stores: Stores, limit: int) -> None:
    days = [0, 1, 1, 1, 4, 40, 41]
    users = ["usr_2", "usr_1", "usr_1", "usr_2", "usr_1", "usr_9", "usr_1"]
    rows = [
        row(number, at=AT + day * 24 * HOUR - number % 2 * HOUR, user_id=user, model=f"m/{number % 3}")
        for number, (day, user) in enumerate(zip(days, users, strict=True))
    ]
    await stores.ledger.add(rows)
    first, last = DAY + 1, DAY + 40
    whole = await stores.ledger.summary(user_id=None, first_day=first, last_day=last)
    assert len(whole) == 5
    pages: list[UsageSummary] = []
    key = (0, "", "", "")
    while page := await stores.ledger.summary_page(first, last, key, limit):
        assert len(page) <= limit
        pages += page
        end = page[-1]
        key = (day_from_iso(end.day), end.user_id, end.provider, end.model)
    assert pages == whole
    overall = await stores.ledger.overall(first, last)
    assert overall.requests == sum(one.requests for one in whole)
    assert overall.output_tokens == sum(one.output_tokens for one in whole)
    assert overall.cost_nano == sum(one.cost_nano for one in whole)
    nothing = await stores.ledger.overall(DAY - 9, DAY - 1)
    assert (nothing.requests, nothing.cost_nano) == (0, 0)


def test_the_columns_of_the_tables_are_the_fields_of_the_records() -> None:
    assert [column.name for column in usage.c] == list(UsageRow.__struct_fields__)
    assert [column.name for column in usage_hours.c if not column.primary_key] == list(HourSums.__struct_fields__)


ROWS = st.lists(
    st.builds(
        row,
        st.integers(0, 12),
        at=st.integers(AT - 40 * 24 * HOUR, AT + 40 * 24 * HOUR),
        user_id=st.sampled_from(["usr_1", "usr_2"]),
        model=st.sampled_from(["m1", "m2"]),
        outcome=st.sampled_from([int(outcome) for outcome in Outcome]),
        input_tokens=st.integers(0, 10**9),
        cost_nano=st.integers(0, 10**15),
    ),
    max_size=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(ROWS, max_size=5))
async def test_windows_and_summaries_are_what_the_rows_add_up_to(making: Making, batches: list[list[UsageRow]]) -> None:
    async with making() as stores:
        counted = [await stores.ledger.add(batch) for batch in batches]
        rows = await stores.ledger.rows(user_id=None, limit=100)
        firsts: dict[str, UsageRow] = {}
        for batch in batches:
            for one in batch:
                firsts.setdefault(one.id, one)
        assert rows == sorted(firsts.values(), key=lambda one: (one.at, one.id), reverse=True)
        assert sum(counted) == len(firsts)
        for one in rows:
            day, month = await stores.ledger.totals(one.user_id, day_of(one), month_of(one))
            assert day == expected(rows, one, day_of)
            assert month == expected(rows, one, month_of)
        summary = await stores.ledger.summary(user_id=None, first_day=DAY - 41, last_day=DAY + 41)
        counts = {Outcome.CORRECTION: 0, Outcome.FOUND: -1}
        assert sum(one.requests + one.failed for one in summary) == sum(
            counts.get(Outcome(one.outcome), 1) for one in rows
        )
        charged = [one for one in rows if one.outcome != Outcome.FAILED]
        assert sum(one.cost_nano for one in summary) == sum(one.cost_nano for one in charged)
        assert sum(one.input_tokens for one in summary) == sum(one.input_tokens for one in charged)


def day_of(one: UsageRow) -> int:
    return one.at // 86_400_000


def month_of(one: UsageRow) -> int:
    moment = datetime.fromtimestamp(one.at // 1000, UTC)
    return moment.year * 12 + moment.month - 1


def expected(rows: list[UsageRow], like: UsageRow, window: Callable[[UsageRow], int]) -> Totals:
    """The sums over a row's window, the long way."""
    same = [
        one
        for one in rows
        if one.user_id == like.user_id and one.outcome != Outcome.FAILED and window(one) == window(like)
    ]
    tokens = sum(one.input_tokens + one.output_tokens for one in same)
    requests = sum(one.outcome != Outcome.CORRECTION for one in same) - 2 * sum(
        one.outcome == Outcome.FOUND for one in same
    )
    return Totals(requests, tokens, sum(one.cost_nano for one in same))


@pytest.mark.parametrize("broken", ["usage_hours", "usage_windows"])
async def test_rows_and_their_sums_are_added_all_or_none(database: Database, broken: str) -> None:
    ledger = SqlLedger(database)
    await ledger.add([row(1)])
    await database.write(lambda connection: connection.execute(text(f"ALTER TABLE {broken} RENAME TO gone")))
    with pytest.raises(StorageUnavailable):
        await ledger.add([row(2)])
    await database.write(lambda connection: connection.execute(text(f"ALTER TABLE gone RENAME TO {broken}")))
    assert await ledger.rows(user_id=None, limit=10) == [row(1)]
    assert await ledger.totals("usr_1", DAY, MONTH) == (ONE, ONE)
    assert await ledger.add([row(2)]) == 1


async def test_dashboards_and_limits_never_read_the_ledger_row_by_row(database: Database) -> None:
    def plans() -> list[str]:
        found: list[str] = []
        with database.engine.begin() as connection:
            for statement in (ledger_module.SUMMARY, ledger_module.SUMMARY_OF_USER, ledger_module.WINDOW):
                sql = str(statement.compile(database.engine))
                values = tuple([1] * sql.count("?"))
                found += [str(step[3]) for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
        return found

    steps = await asyncio.to_thread(plans)
    assert [step for step in steps if "SCAN" in step or "usage " in step.replace("usage_", "")] == []
    assert sum("SEARCH usage_hours" in step for step in steps) == 2
