"""Figures as operators get them, over memory stores on a clock that tests move."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dominion.domain.errors import InvalidRequest, NotFound
from dominion.domain.people import Limits, User
from dominion.domain.records import Outcome, UsageRow
from dominion.services.figures.analytics import NEWEST, Analytics
from dominion.services.limits.posting import Posting
from dominion.services.offer.lineup import Lineup
from dominion.stores.memory.accounts import MemoryJournal, MemoryLedger, MemoryPeople
from dominion.stores.memory.analytics import MemoryAnalytics
from tests.services.clocks import HandClock
from tests.stores.samples import row

DOLLAR = 1_000_000_000
NOW = "2026-06-16T00:00:00"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


async def figures(*rows: UsageRow, now: str = NOW) -> Analytics:
    """Over these rows, at this time."""
    ledger, people = MemoryLedger(), MemoryPeople()
    await ledger.add(rows)
    for name in ("usr_1", "usr_2"):
        await people.add_user(User(name, name, None, "active", Limits(), at(NOW)))
    posting = Posting(MemoryJournal(), ledger)
    return Analytics(MemoryAnalytics(ledger), ledger, people, Lineup([], {}), posting, HandClock(at(now)))


def spent(number: int, day: str, dollars: int, **changes: Any) -> UsageRow:
    return row(number, at=at(day) * 1000, cost_nano=dollars * DOLLAR, outcome=Outcome.OK, **changes)


ROWS = [
    spent(1, "2026-05-31T23:00:00", 1000),
    spent(2, "2026-06-02T12:00:00", 16),
    spent(3, "2026-06-10T12:00:00", 14, user_id="usr_2", provider="anthropic", model="claude", customer="acme"),
]


@pytest.mark.promise("003-155", "003-156")
async def test_a_month_is_projected_for_the_gateway_a_user_and_a_provider() -> None:
    found = await figures(*ROWS)
    assert await found.projection(None, None) == {
        "user_id": None,
        "provider": None,
        "month": "2026-06",
        "spent_usd": "30.000000000",
        "projected_usd": "60.000000000",
        "projected_from": "month",
        "by_month_usd": "60.000000000",
        "by_week_usd": "60.000000000",
        "text": "You're on track for $60.00 this month.",
    }
    of_user = await found.projection("usr_1", None)
    assert (of_user["text"], of_user["by_week_usd"]) == ("You're on track for $32.00 this month.", "16.000000000")
    of_provider = await found.projection(None, "anthropic")
    assert (of_provider["projected_usd"], of_provider["by_week_usd"]) == ("28.000000000", "44.000000000")


async def test_on_the_first_day_of_a_month_the_week_before_is_what_is_known() -> None:
    found = await (await figures(*ROWS, now="2026-06-01T00:00:00")).projection(None, None)
    assert (found["projected_from"], found["by_month_usd"], found["spent_usd"]) == ("week", None, "0.000000000")
    assert found["text"] == "You're on track for $4,285.71 this month."


async def test_nobody_is_told_that_somebody_who_does_not_exist_costs_nothing() -> None:
    found = await figures(*ROWS)
    with pytest.raises(NotFound, match="usr_9"):
        await found.projection("usr_9", None)
    with pytest.raises(NotFound, match="opnai"):
        await found.projection(None, "opnai")
    with pytest.raises(InvalidRequest, match="a user or for a provider"):
        await found.projection("usr_1", "openai")


@pytest.mark.promise("003-153", "003-154")
async def test_this_month_by_provider_and_by_model() -> None:
    found = await figures(*ROWS)
    told = await found.by("provider", {}, 100)
    assert (told["from"], told["to"], told["totals"]["cost_usd"]) == ("2026-06-01", "2026-06-16", "30.000000000")
    assert [(one["provider"], one["cost_usd"]) for one in told["rows"]] == [
        ("openai", "16.000000000"),
        ("anthropic", "14.000000000"),
    ]
    models = await found.by("model", {"month": "2026-05"}, 100)
    assert [(one["model"], one["requests"]) for one in models["rows"]] == [("openai/gpt-4o", 1)]
    assert (models["from"], models["to"]) == ("2026-05-01", "2026-05-31")


@pytest.mark.promise("002-062")
async def test_a_trend_is_one_row_for_each_day_that_was_used() -> None:
    told = await (await figures(*ROWS)).by("day", {"from": "2026-05-31", "to": "2026-06-02"}, 1)
    assert told["more"] is False  # a trend without its end is none
    assert [(one["day"], one["cost_usd"]) for one in told["rows"]] == [
        ("2026-05-31", "1000.000000000"),
        ("2026-06-02", "16.000000000"),
    ]


@pytest.mark.promise("002-058")
async def test_customers_and_users_of_a_month_and_whether_there_are_more() -> None:
    found = await figures(*ROWS)
    told = await found.by("customer", {}, 1)
    assert ([one["customer"] for one in told["rows"]], told["more"]) == ([""], True)
    users = await found.by("user", {"month": "2026-06"}, 2)
    assert users["rows"] == [
        {"user_id": "usr_1", "requests": 1, "total_tokens": 153, "cost_usd": "16.000000000"},
        {"user_id": "usr_2", "requests": 1, "total_tokens": 153, "cost_usd": "14.000000000"},
    ]
    assert users["more"] is False
    assert users["totals"]["requests"] == 2


@pytest.mark.parametrize(
    ("group", "asked", "words"),
    [
        ("colour", {}, "group is one of"),
        ("customer", {"from": "2026-06-01"}, "whole months"),
        ("day", {"month": "2026-13"}, "A period is"),
        ("day", {"month": "2026-6"}, "A period is"),
        ("day", {"month": "2026-06", "to": "2026-06-02"}, "A period is"),
        ("day", {"from": "yesterday"}, "A period is"),
        ("day", {"month": "9999-12"}, "A period is"),
    ],
)
async def test_what_cannot_be_asked_is_said(group: str, asked: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        await (await figures()).by(group, asked, 100)


@pytest.mark.promise("002-053", "002-054", "002-055", "002-059", "002-060")
async def test_latency_percentiles_speed_and_error_rates_are_those_of_each_model() -> None:
    rows = [
        row(number, at=at(NOW) * 1000 - number, outcome=Outcome.OK, latency_ms=number * 10, first_ms=number)
        for number in range(1, 101)
    ]
    rows += [
        row(101, outcome=Outcome.FAILED, at=at(NOW) * 1000 - 1, latency_ms=60_000),
        row(102, outcome=Outcome.CUT, at=at(NOW) * 1000 - 1, latency_ms=60_000),
        row(103, outcome=Outcome.CANCELLED, at=at(NOW) * 1000 - 1, latency_ms=60_000),
        row(104, outcome=Outcome.FAILED, at=at(NOW) * 1000 - 1, model="o1"),
        row(105, outcome=Outcome.OK, at=at(NOW) * 1000 - 3_600_001, latency_ms=90_000),
    ]
    told = await (await figures(*rows)).latency(1)
    assert told == {
        "from": "2026-06-15T23:00:00Z",
        "to": "2026-06-16T00:00:00Z",
        "newest_only": False,
        "rows": [
            {
                "provider": "openai",
                "model": "gpt-4o",
                "requests": 102,
                "failed": 1,
                "broken": 1,
                "cancelled": 1,
                "error_rate": 0.0194,
                "latency_ms": {"p50": 500, "p90": 900, "p95": 950, "p99": 990},
                "first_byte_ms": {"p50": 50, "p90": 90, "p95": 95, "p99": 99},
                "tokens_per_second": 101,
            },
            {
                "provider": "openai",
                "model": "o1",
                "requests": 0,
                "failed": 1,
                "broken": 0,
                "cancelled": 0,
                "error_rate": 1.0,
                "latency_ms": None,
                "first_byte_ms": None,
                "tokens_per_second": None,
            },
        ],
    }


async def test_of_more_requests_than_are_read_the_newest_count_and_it_is_said() -> None:
    rows = [row(number, at=at(NOW) * 1000 - number * 100) for number in range(NEWEST + 1)]
    told = await (await figures(*rows)).latency(1)
    assert (told["newest_only"], told["from"]) == (True, "2026-06-15T23:56:40Z")
    assert sum(one["requests"] for one in told["rows"]) == NEWEST
