"""Which thresholds are reached, what is said of them, and when a notice is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.alerts import Level
from dominion.domain.allowances import ALERTS, ScopeLimits
from dominion.domain.records import Totals
from dominion.rules.alerts import MOST_TRIES, SUMS, crossed, data, pause_before_next, sentence
from dominion.rules.windows import day_of, month_of

DAY = day_of(1_767_571_200)
MONTH = month_of(DAY)
DOLLAR = 10**9
amounts = st.integers(0, 10**18)
thresholds = st.lists(st.integers(1, 1000), unique=True).map(lambda found: tuple(sorted(found)))


def names(level: Level) -> set[str]:
    return {one.name for one in crossed(level)}


def spent(nano: int, limit: int = 50 * DOLLAR, alerts: tuple[int, ...] = ALERTS) -> Level:
    return Level("customer:acme", "m", MONTH, Totals(1, 1, nano), ScopeLimits(monthly_spend_nano=limit, alerts=alerts))


@pytest.mark.promise("002-045", "003-139")
def test_a_threshold_is_reached_at_its_very_share_and_not_before() -> None:
    assert [one.percent for one in crossed(spent(25 * DOLLAR - 1))] == []
    assert [one.percent for one in crossed(spent(25 * DOLLAR))] == [50]
    assert [one.percent for one in crossed(spent(50 * DOLLAR))] == [50, 80, 100]
    assert [one.percent for one in crossed(spent(50 * DOLLAR, alerts=()))] == []
    assert [one.percent for one in crossed(spent(60 * DOLLAR, alerts=(10, 120, 121)))] == [10, 120]


@given(amounts, amounts, st.integers(1, 10**18), thresholds)
def test_what_was_reached_stays_reached_and_what_comes_between_two_sums_is_named_once(
    first: int, more: int, limit: int, alerts: tuple[int, ...]
) -> None:
    before, after = (names(spent(used, limit, alerts)) for used in (first, first + more))
    assert before <= after
    passed = [one for one in alerts if first * 100 < one * limit <= (first + more) * 100]
    assert len(after - before) == len(passed)


@given(st.integers(1, 10**18), st.integers(1, 10**18), thresholds)
def test_another_limit_window_or_scope_has_names_of_its_own(first: int, other: int, alerts: tuple[int, ...]) -> None:
    full = spent(10**19, first, alerts)
    assert names(full) == names(spent(2 * 10**19, first, alerts))
    if first != other:
        assert names(full).isdisjoint(names(spent(10**19, other, alerts)))
    for changed in (
        Level("user:acme", "m", MONTH, full.used, full.limits),
        Level("customer:acme", "m", MONTH + 1, full.used, full.limits),
    ):
        assert names(full).isdisjoint(names(changed))


def test_every_limit_that_is_used_up_is_looked_at_in_its_own_window() -> None:
    limits = ScopeLimits(10, 10, 10, 10, 10, 10, 10, 10, alerts=(100,))
    found = {kind: {one.limit for one in crossed(Level("x", kind, 1, Totals(10, 10, 10), limits))} for kind in "dmr"}
    assert found == {kind: {name for name, (of, *_) in SUMS.items() if of == kind} for kind in "dmr"}
    assert {name for name in ScopeLimits.__struct_fields__ if name not in SUMS} == {
        "concurrent_requests",
        "requests_per_minute",
        "alerts",
    }


def test_limits_of_nothing_and_no_limits_have_no_thresholds() -> None:
    for limits in (ScopeLimits(), ScopeLimits(monthly_spend_nano=0, daily_requests=0)):
        assert list(crossed(Level("key:k", "m", MONTH, Totals(9, 9, 9), limits))) == []


def test_people_and_programs_hear_the_same() -> None:
    (half,) = crossed(spent(30 * DOLLAR + 1))
    assert sentence(half) == (
        "customer acme has reached 50 % of its monthly spend: 30.00 of 50.00 US dollars; "
        "it begins anew at 2026-02-01T00:00:00Z."
    )
    assert data(half) == {
        "scope": "customer:acme",
        "limit": "monthly_spend_cap_usd",
        "percent": 50,
        "used": "30.000000001",
        "allowed": "50.000000000",
        "window": "2026-01",
        "resets_at": "2026-02-01T00:00:00Z",
    }
    limits = ScopeLimits(daily_requests=10, hard_run_tokens=10, alerts=(80,))
    (day,) = crossed(Level("key:k1", "d", DAY, Totals(8, 0, 0), limits))
    assert sentence(day) == (
        "key k1 has reached 80 % of its requests a day: 8 of 10; it begins anew at 2026-01-06T00:00:00Z."
    )
    assert (data(day)["window"], data(day)["used"]) == ("2026-01-05", 8)
    (run,) = crossed(Level("run:nightly:7", "r", 0, Totals(8, 9, 0), limits))
    assert sentence(run) == "run nightly:7 has reached 80 % of its hard cap of tokens: 9 of 10."
    assert (data(run)["window"], data(run)["resets_at"]) == ("run", None)


def test_pauses_double_up_to_an_hour_and_end_after_two_days() -> None:
    pauses = [pause_before_next(tries) for tries in range(1, MOST_TRIES + 1)]
    assert pauses[:5] == [1, 2, 4, 8, 16]
    assert (max(each for each in pauses if each), pauses[-1]) == (3600, None)
    assert 40 * 3600 < sum(each for each in pauses if each) < 72 * 3600
