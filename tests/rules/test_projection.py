"""Month-end spend from what is spent so far."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.usage import NANO_PER_USD
from dominion.rules.projection import Projection, on_track, project, week_before

DOLLAR = NANO_PER_USD


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.promise("003-155")
@pytest.mark.parametrize(
    ("moment", "spent", "week", "by_share", "by_week"),
    [
        ("2026-06-16T00:00:00", 30 * DOLLAR, 14 * DOLLAR, 60 * DOLLAR, 60 * DOLLAR),
        ("2026-06-16T00:00:00", 30 * DOLLAR, 0, 60 * DOLLAR, 30 * DOLLAR),
        ("2026-02-15T00:00:00", 10 * DOLLAR, 7 * DOLLAR, 20 * DOLLAR, 24 * DOLLAR),
        ("2028-02-15T00:00:00", 14 * DOLLAR, 7 * DOLLAR, 29 * DOLLAR, 29 * DOLLAR),  # a leap year
        ("2026-12-31T12:00:00", 61 * DOLLAR, 14 * DOLLAR, 62 * DOLLAR, 62 * DOLLAR),
    ],
)
def test_the_rest_of_the_month_goes_on_as_the_month_or_the_week_did(
    moment: str, spent: int, week: int, by_share: int, by_week: int
) -> None:
    assert project(spent, week, at(moment)) == Projection(by_share, by_week)


@pytest.mark.parametrize("moment", ["2026-03-01T00:00:00", "2026-03-01T00:00:01", "2026-03-01T23:59:59"])
def test_on_the_first_day_the_month_says_nothing_yet_and_the_week_before_does(moment: str) -> None:
    found = project(DOLLAR, 0, at(moment))
    assert (found.by_share, found.nano) == (None, DOLLAR)
    assert project(0, 7 * DOLLAR, at("2026-03-01T00:00:00")).nano == 31 * DOLLAR
    assert project(DOLLAR, 0, at("2026-03-02T00:00:00")).nano == 31 * DOLLAR


def test_in_the_last_second_of_a_month_hardly_anything_comes_on_top() -> None:
    found = project(100 * DOLLAR, 7 * DOLLAR, at("2026-11-30T23:59:59"))
    assert found.by_share is not None
    assert 100 * DOLLAR < found.by_share < 100 * DOLLAR + DOLLAR // 1000
    assert 100 * DOLLAR < found.by_week < 100 * DOLLAR + DOLLAR // 1000


def test_the_week_is_the_seven_whole_days_before_today() -> None:
    assert list(week_before(20_000)) == [19_993, 19_994, 19_995, 19_996, 19_997, 19_998, 19_999]


@given(
    spent=st.integers(0, 10**18),
    week=st.integers(0, 10**18),
    moment=st.floats(min_value=0, max_value=4e9, allow_nan=False),
)
def test_a_month_never_ends_below_what_it_has_cost_already(spent: int, week: int, moment: float) -> None:
    found = project(spent, week, moment)
    assert found.by_week >= spent
    assert found.by_share is None or found.by_share >= spent
    assert project(spent + 1, week + 1, moment).nano > found.nano


def test_what_is_corrected_downwards_is_projected_downwards() -> None:
    assert project(-DOLLAR, 0, at("2026-06-16T00:00:00")).nano == -2 * DOLLAR


@pytest.mark.promise("003-156")
@pytest.mark.parametrize(
    ("nano", "amount"),
    [
        (0, "$0.00"),
        (1, "less than $0.01"),
        (12_340_000_000, "$12.34"),
        (12_345_000_000, "$12.35"),
        (12_344_999_999, "$12.34"),
        (1_234_567 * DOLLAR, "$1,234,567.00"),
    ],
)
def test_the_sentence_names_dollars_and_cents(nano: int, amount: str) -> None:
    assert on_track(nano) == f"You're on track for {amount} this month."
