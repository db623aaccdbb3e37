"""rules/limits/quoting.py: a quote bounds what will be charged, and a maximum is kept to the nano-dollar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.errors import MaxCostExceeded
from dominion.domain.usage import Price, Usage
from dominion.rules.limits.quoting import LIKELY_OUTPUT, check_max_cost, quote
from dominion.rules.limits.verdict import Ask
from dominion.rules.prices.pricing import charge
from tests.rules.test_pricing import exact_nano, prices

GPT_4O = Price(input=2_500_000, output=10_000_000)
sizes = st.integers(0, 500_000)


@given(prices(), sizes, sizes, st.integers(1, 5), st.data())
def test_no_answer_within_its_caps_costs_more_than_a_quote_says_at_most(
    price: Price, bound: int, cap: int, choices: int, data: st.DataObject
) -> None:
    ask = Ask(bound, cap, choices, price)
    told = quote(ask, data.draw(st.integers(0, bound)), price)
    used = Usage(data.draw(st.integers(0, bound)), data.draw(st.integers(0, cap * choices)))
    assert told.most_nano is not None
    assert told.likely_nano is not None
    assert exact_nano(used, price) <= charge(used, price) <= told.most_nano
    assert told.likely_nano <= told.most_nano


def test_a_quote_takes_an_answer_of_a_page_for_likely_unless_a_shorter_one_is_asked_for() -> None:
    long, short = (quote(Ask(1_000, cap, 2, GPT_4O), 250, GPT_4O) for cap in (8_192, 100))
    assert (long.likely_output, long.most_output) == (2 * LIKELY_OUTPUT, 16_384)
    assert (short.likely_output, short.most_output) == (200, 200)
    assert short.likely_nano == 250 * 2_500 + 200 * 10_000
    assert short.most_nano == 1_000 * 2_500 + 200 * 10_000


def test_a_model_without_a_price_has_a_quote_without_money() -> None:
    told = quote(Ask(1_000, 100, 1, None), 250, None)
    assert (told.likely_nano, told.most_nano, told.most_input) == (None, None, 1_000)


@given(prices(), sizes, sizes)
def test_a_request_is_refused_exactly_when_its_worst_case_is_above_the_maximum(
    price: Price, bound: int, cap: int
) -> None:
    ask = Ask(bound, cap, 1, price)
    most = quote(ask, 0, price).most_nano
    assert most is not None
    check_max_cost(ask, most)
    with pytest.raises(MaxCostExceeded, match="may cost"):
        check_max_cost(ask, most - 1)


def test_a_request_whose_price_nobody_knows_is_above_every_maximum() -> None:
    with pytest.raises(MaxCostExceeded, match="not known"):
        check_max_cost(Ask(1, 1, 1, None), 10**18)
