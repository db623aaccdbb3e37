"""rules/prices/pricing.py against exact fractions."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.usage import Price, Usage, usd
from dominion.rules.prices.pricing import UNBOUNDED, affordable_output, charge, is_leap, pico_per_token, worst_case

GPT_4O = Price(input=2_500_000, output=10_000_000, cache_read=1_250_000)
CLIFF = Price(input=3_000_000, output=15_000_000, above=200_000, above_price=Price(input=6_000_000, output=22_500_000))

counts = st.integers(0, 3_000_000)
rates = st.integers(0, 10**9)


@st.composite
def prices(draw: st.DrawFn, depth: int = 2, lowest: int = 0) -> Price:
    above = draw(st.none() | st.integers(lowest, lowest + 1_000_000)) if depth else None
    optional = st.none() | rates
    return Price(
        input=draw(rates),
        output=draw(rates),
        cache_read=draw(optional),
        cache_write=draw(optional),
        cache_write_1h=draw(optional),
        request=draw(st.integers(0, 10**8)),
        above=above,
        above_price=None if above is None else draw(prices(depth=depth - 1, lowest=above + 1)),
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    whole = draw(counts)
    read = draw(st.integers(0, whole))
    write = draw(st.integers(0, whole - read))
    return Usage(
        input_tokens=whole,
        output_tokens=draw(counts),
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=draw(st.integers(0, write)),
    )


def exact_nano(usage: Usage, price: Price) -> Fraction:
    """The unrounded cost, written down once more from the definition of Price and Usage."""
    if price.above is not None and price.above_price is not None and usage.input_tokens > price.above:
        return exact_nano(usage, price.above_price)

    def at(rate: int | None) -> Fraction:
        return Fraction(price.input if rate is None else rate, 1000)

    fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    return (
        fresh * at(price.input)
        + usage.cache_read_tokens * at(price.cache_read)
        + (usage.cache_write_tokens - usage.cache_write_1h_tokens) * at(price.cache_write)
        + usage.cache_write_1h_tokens * at(price.cache_write_1h)
        + usage.output_tokens * at(price.output)
        + price.request
    )


@pytest.mark.promise("003-199", "003-081", "003-082")
def test_a_thousand_tokens_in_and_five_hundred_out_of_gpt_4o_cost_exactly_0_0075_dollars() -> None:
    cost = charge(Usage(input_tokens=1000, output_tokens=500), GPT_4O)
    assert cost == 7_500_000
    assert usd(cost) == "0.007500000"


@given(usages(), prices())
def test_a_charge_is_the_exact_cost_rounded_up_once(usage: Usage, price: Price) -> None:
    exact = exact_nano(usage, price)
    assert 0 <= charge(usage, price) - exact < 1


@given(usages(), prices(), st.integers(0, 1000), st.integers(0, 1000))
def test_no_charge_exceeds_the_worst_case(usage: Usage, price: Price, spare_in: int, spare_out: int) -> None:
    bound, cap = usage.input_tokens + spare_in, usage.output_tokens + spare_out
    assert charge(usage, price) <= worst_case(bound, cap, price)


@given(counts, counts, prices(), st.integers(1, 8))
def test_some_usage_within_the_bounds_reaches_the_worst_case(bound: int, cap: int, price: Price, n: int) -> None:
    tops = {bound} | {top for top in _cliffs(price) if top < bound}
    usage = [
        Usage(
            input_tokens=top,
            output_tokens=cap * n,
            cache_read_tokens=read,
            cache_write_tokens=write,
            cache_write_1h_tokens=hour,
        )
        for top in tops
        for read, write, hour in ((0, 0, 0), (top, 0, 0), (0, top, 0), (0, top, top))
    ]
    assert max(charge(each, price) for each in usage) == worst_case(bound, cap, price, n)


@given(st.integers(0, 10**13), counts, prices(), st.integers(1, 8))
def test_the_affordable_output_is_the_largest_one_that_fits(left: int, bound: int, price: Price, n: int) -> None:
    cap = affordable_output(left, bound, price, n)
    if worst_case(bound, 0, price, n) > left:
        assert cap == 0
    elif cap == UNBOUNDED:
        assert worst_case(bound, UNBOUNDED, price, n) <= left
    else:
        assert worst_case(bound, cap, price, n) <= left < worst_case(bound, cap + 1, price, n)


def test_one_token_above_the_threshold_moves_the_whole_request_to_the_higher_tier() -> None:
    assert charge(Usage(input_tokens=200_000), CLIFF) == 600_000_000
    assert charge(Usage(input_tokens=200_001), CLIFF) == 1_200_006_000


def test_more_cached_tokens_than_the_prompt_holds_are_clamped_to_the_prompt() -> None:
    usage = Usage(input_tokens=10, cache_read_tokens=1000, cache_write_tokens=50, cache_write_1h_tokens=99)
    assert charge(usage, GPT_4O) == charge(Usage(input_tokens=10, cache_read_tokens=10), GPT_4O)


def test_negative_counts_never_lower_a_charge() -> None:
    assert charge(Usage(input_tokens=-5, output_tokens=-5, cache_read_tokens=-5), GPT_4O) == 0


def test_a_request_fee_is_charged_once_beside_the_tokens() -> None:
    assert charge(Usage(input_tokens=1), Price(input=1, output=0, request=5_000_000)) == 5_000_001


def test_free_output_is_affordable_without_bound() -> None:
    assert affordable_output(0, 1000, Price(input=0, output=0)) == UNBOUNDED


@pytest.mark.parametrize(
    ("text", "pico"),
    [("2.50", 2_500_000), ("0", 0), (3, 3_000_000), (Decimal("0.075"), 75_000), ("0.000001", 1), ("1e-6", 1)],
)
def test_dollars_per_million_become_pico_dollars_per_token(text: str | int | Decimal, pico: int) -> None:
    assert pico_per_token(text) == pico


@pytest.mark.parametrize("wrong", ["", "free", "-1", "nan", "inf", "0.0000001", "1000001", 2.5, True])
def test_what_is_no_exact_price_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        pico_per_token(wrong)


def _cliffs(price: Price) -> set[int]:
    if price.above is None or price.above_price is None:
        return set()
    return {price.above} | _cliffs(price.above_price)


@pytest.mark.parametrize(
    ("before", "after", "leap"),
    [
        (GPT_4O, Price(input=250_000_000, output=1_000_000_000), False),
        (GPT_4O, Price(input=250_000_001, output=10_000_000), True),
        (GPT_4O, Price(input=25_000, output=100_000), False),
        (GPT_4O, Price(input=25_000, output=99_999), True),
        (GPT_4O, Price(input=2_500_000, output=10_000_000, cache_read=12_499), True),
        (GPT_4O, Price(input=2_500_000, output=10_000_000, cache_write=1), False),
        (Price(input=0, output=0), Price(input=1, output=0), True),
        (Price(input=1, output=1), Price(input=0, output=1), True),
        (None, GPT_4O, False),
    ],
)
def test_a_price_a_hundred_times_off_is_a_leap(before: Price | None, after: Price, leap: bool) -> None:  # noqa: FBT001
    assert is_leap(before, after) is leap
