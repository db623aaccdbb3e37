"""The verdict over limits: never above a limit, never a refusal without a reason, always a way to know when it ends."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.allowances import ScopeLimits
from dominion.domain.errors import QuotaExceeded, RateLimited, TooManyConcurrent
from dominion.domain.people import Limits
from dominion.domain.usage import NANO_PER_USD, Price, Usage
from dominion.rules.limits.verdict import (
    SHORTEST_ANSWER,
    Ask,
    Grant,
    Rate,
    ScopeStanding,
    Standing,
    Window,
    judge,
    judge_scopes,
)
from dominion.rules.prices.pricing import charge

NOW = 1_767_571_200.0 + 3600  # 2026-01-05T01:00:00Z
PRICE = Price(input=1_000_000, output=2_000_000)


def standing(limits: Limits, **day: int) -> Standing:
    return Standing(limits, Window(20_458, **day), Window(2026 * 12), Rate())


def verdict(one: Standing, ask: Ask) -> Grant:
    return judge(one, ask, now=NOW, monotonic=100.0, rate_window=60.0)


ASK = Ask(input_bound=100, output_cap=50, choices=1, price=PRICE)


def test_without_limits_everything_is_granted_in_full() -> None:
    assert verdict(standing(Limits()), ASK) == Grant(50, 150, 200_000, lowered=False)


@pytest.mark.promise("000-048", "000-052", "000-053", "000-054", "000-055", "000-056", "001-005")
def test_the_daily_request_limit_is_refused_as_document_000_prints_it() -> None:
    with pytest.raises(QuotaExceeded) as caught:
        verdict(standing(Limits(daily_requests=1000), requests=990, held_requests=10), ASK)
    error = caught.value
    assert (error.code, error.message, error.limit, error.used) == (
        "quota_exceeded",
        "Daily request limit exceeded",
        1000,
        1000,
    )
    assert error.resets_at == "2026-01-06T00:00:00Z"
    assert error.retry_after == 23 * 3600


@pytest.mark.promise("000-049", "001-006")
def test_daily_tokens_lower_the_output_cap_and_then_refuse() -> None:
    limits = Limits(daily_tokens=1000)
    lowered = verdict(standing(limits, tokens=860), ASK)
    assert (lowered.output_cap, lowered.lowered, lowered.tokens) == (40, True, 140)
    with pytest.raises(QuotaExceeded, match="Daily token limit exceeded"):
        verdict(standing(limits, tokens=900 - SHORTEST_ANSWER + 1), ASK)


@pytest.mark.parametrize(
    ("tokens", "limit", "action"),
    [
        (0, 100, "may use 116 tokens, more than the whole limit: shorten it, or ask the operator to raise it"),
        (
            50,
            150,
            "may use 116 tokens, more than what is left of the limit: shorten it, or wait until the quota resets",
        ),
        (200, 200, "^Wait until the quota resets, or ask the operator to raise it"),
    ],
)
def test_a_request_too_large_for_what_is_left_is_told_so(tokens: int, limit: int, action: str) -> None:
    with pytest.raises(QuotaExceeded) as caught:
        verdict(standing(Limits(daily_tokens=limit), tokens=tokens), ASK)
    assert re.search(action, str(caught.value.action))


def test_too_large_a_request_is_told_its_price_and_in_a_run_that_waiting_is_of_no_use() -> None:
    with pytest.raises(QuotaExceeded) as caught:
        verdict(standing(Limits(monthly_spend_nano=100_000)), ASK)
    assert str(caught.value.action).startswith("This request may use $0.000132000, more than the whole limit:")
    run = ScopeStanding(ScopeLimits(daily_tokens=150), Window(0, tokens=50), Window(0), Rate(), scope="run:nightly")
    with pytest.raises(QuotaExceeded) as caught:
        verdict(run, ASK)
    assert str(caught.value.action).endswith("left of the limit: shorten it, or ask the operator to raise it.")


def test_an_answer_shorter_than_the_shortest_is_granted_when_that_is_all_the_caller_wants() -> None:
    ask = Ask(input_bound=100, output_cap=2, choices=1, price=PRICE)
    assert verdict(standing(Limits(daily_tokens=102)), ask).output_cap == 2


@pytest.mark.promise("000-050", "001-007", "001-065")
def test_the_spend_cap_lowers_the_output_cap_and_then_refuses_in_dollars() -> None:
    one = standing(Limits(monthly_spend_nano=NANO_PER_USD))
    one.month.spend = NANO_PER_USD - 180_000
    lowered = verdict(one, ASK)
    assert (lowered.output_cap, lowered.nano) == (40, 180_000)
    one.month.held_spend = 180_000
    with pytest.raises(QuotaExceeded) as caught:
        verdict(one, ASK)
    assert (caught.value.limit, caught.value.used) == ("1.000000000", "1.000000000")
    assert caught.value.resets_at == "2026-02-01T00:00:00Z"


def test_a_request_without_output_is_refused_when_its_prompt_alone_is_too_dear() -> None:
    embedding = Ask(input_bound=100, output_cap=0, choices=1, price=Price(input=1_000_000, output=0))
    with pytest.raises(QuotaExceeded, match="Monthly spend cap exceeded"):
        verdict(standing(Limits(monthly_spend_nano=99_999)), embedding)
    assert verdict(standing(Limits(monthly_spend_nano=100_000)), embedding).nano == 100_000


def test_a_free_model_runs_when_the_money_is_gone() -> None:
    one = standing(Limits(monthly_spend_nano=0))
    free = Ask(input_bound=100, output_cap=50, choices=1, price=Price(input=0, output=0))
    assert verdict(one, free).nano == 0


def test_what_costs_nothing_runs_when_more_than_the_money_is_gone() -> None:
    free = Ask(100, 50, 1, Price(input=0, output=0))
    one = standing(Limits(monthly_spend_nano=1_000))
    one.month.spend = 5_000
    granted = verdict(one, free)
    assert granted == Grant(50, 150, 0, lowered=False)
    limits = ScopeLimits(daily_spend_nano=1_000, monthly_spend_nano=1_000)
    scope = ScopeStanding(limits, Window(20_458, spend=5_000), Window(2026 * 12, spend=5_000), Rate(), scope="key:k1")
    times = {"now": NOW, "monotonic": 100.0, "rate_window": 60.0}
    assert judge_scopes([scope], free, granted, **times) == granted
    with pytest.raises(QuotaExceeded):
        judge_scopes([scope], ASK, Grant(50, 150, 200_000, lowered=False), **times)


@pytest.mark.promise("000-051")
def test_concurrent_requests_are_refused_without_a_reset_time() -> None:
    one = standing(Limits(concurrent_requests=5))
    one.running = 5
    with pytest.raises(TooManyConcurrent) as caught:
        verdict(one, ASK)
    assert (caught.value.limit, caught.value.used, caught.value.resets_at) == (5, 5, None)


def test_a_limit_of_zero_refuses_everything() -> None:
    for limits in (
        Limits(daily_requests=0),
        Limits(daily_tokens=0),
        Limits(monthly_spend_nano=0),
        Limits(concurrent_requests=0),
        Limits(requests_per_minute=0),
    ):
        with pytest.raises((QuotaExceeded, TooManyConcurrent, RateLimited)):
            verdict(standing(limits), ASK)


@given(
    limit=st.integers(0, 10**7),
    requests=st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 500), st.integers(0, 100)), max_size=40),
    price=st.builds(Price, input=st.integers(0, 10**8), output=st.integers(0, 10**8)),
)
def test_settled_plus_held_never_exceeds_a_limit_whatever_is_asked(
    limit: int, requests: list[tuple[int, int, int]], price: Price
) -> None:
    """The worst that a granted request can cost always fits: each uses all it was granted, or a part of it."""
    one = standing(Limits(daily_tokens=limit, monthly_spend_nano=limit))
    for input_bound, output_cap, percent in requests:
        try:
            grant = verdict(one, Ask(input_bound, output_cap, 1, price))
        except QuotaExceeded:
            continue
        used = Usage(input_tokens=input_bound * percent // 100, output_tokens=grant.output_cap * percent // 100)
        assert charge(used, price) <= grant.nano
        assert used.total_tokens <= grant.tokens
        if percent % 2:
            one.day.tokens += used.total_tokens
            one.month.spend += charge(used, price)
        else:
            one.day.held_tokens += grant.tokens
            one.month.held_spend += grant.nano
        assert one.day.tokens + one.day.held_tokens <= limit
        assert one.month.spend + one.month.held_spend <= limit


@pytest.mark.promise("001-003", "001-027", "001-028", "001-064")
def test_the_rate_limit_refuses_the_61st_request_of_a_minute_and_says_when_to_come_again() -> None:
    one, now = standing(Limits(requests_per_minute=60)), 1000.0
    for _ in range(60):
        one.rate.roll(now, 60.0)
        judge(one, ASK, now=NOW, monotonic=now, rate_window=60.0)
        one.rate.count += 1
    one.rate.roll(now, 60.0)
    with pytest.raises(RateLimited) as caught:
        judge(one, ASK, now=NOW, monotonic=now, rate_window=60.0)
    assert caught.value.retry_after is not None
    now += caught.value.retry_after
    one.rate.roll(now, 60.0)
    judge(one, ASK, now=NOW, monotonic=now, rate_window=60.0)


@given(st.integers(1, 20), st.lists(st.floats(0.0, 30.0), max_size=200))
def test_after_the_promised_wait_the_next_request_always_fits_and_windows_hold(limit: int, gaps: list[float]) -> None:
    rate, now, admitted = Rate(), 50.0, []
    for gap in gaps:
        now += gap
        rate.roll(now, 10.0)
        wait = rate.wait(limit, now, 10.0)
        if wait > 0:
            later = Rate(rate.start, rate.count, rate.before)
            later.roll(now + wait + 1e-6, 10.0)
            assert later.wait(limit, now + wait + 1e-6, 10.0) == 0.0
            continue
        rate.count += 1
        admitted.append(now)
        assert sum(at >= rate.start for at in admitted) <= limit
