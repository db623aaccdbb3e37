"""Orders of providers, and the price that covers them all."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dominion.domain.usage import Price, Usage
from dominion.rules.prices.pricing import charge, worst_case
from dominion.rules.routing.ordering import by_weight, ceiling, usual_cost

AMOUNTS = st.integers(0, 100_000_000)
CACHED = st.none() | AMOUNTS
FLAT = st.builds(
    Price, input=AMOUNTS, output=AMOUNTS, cache_read=CACHED, cache_write=CACHED, cache_write_1h=CACHED, request=AMOUNTS
)
TIERED = st.builds(
    lambda low, high, above: Price(
        low.input, low.output, low.cache_read, low.cache_write, low.cache_write_1h, low.request, above, high
    ),
    FLAT,
    FLAT,
    st.integers(1, 300_000),
)
PRICES = st.lists(FLAT | TIERED, min_size=1, max_size=4)
TOKENS = st.integers(0, 400_000)


@given(PRICES, TOKENS, TOKENS)
def test_no_request_can_cost_more_than_at_the_ceiling(prices: list[Price], tokens: int, output: int) -> None:
    highest = ceiling(prices)
    assert highest is not None
    most = worst_case(tokens, output, highest)
    assert most >= max(worst_case(tokens, output, price) for price in prices)
    assert most >= max(
        charge(Usage(input_tokens=tokens, output_tokens=output, cache_write_tokens=tokens), price) for price in prices
    )


@given(FLAT | TIERED)
def test_the_ceiling_of_one_price_is_that_price(price: Price) -> None:
    assert ceiling([price, price]) is price


def test_without_prices_there_is_no_ceiling() -> None:
    assert ceiling([]) is None


def test_weights_are_shares_of_first_places() -> None:
    chance = random.Random(7)
    weights = {"a": 3.0, "b": 1.0, "c": 0.0}
    firsts = Counter(by_weight("abc", weights.__getitem__, chance.random)[0] for _ in range(4_000))
    assert firsts["c"] == 0
    assert 2_900 < firsts["a"] < 3_100


def test_those_of_no_weight_stay_last_and_in_their_order() -> None:
    assert by_weight("abcd", lambda item: float(item == "c"), lambda: 0.5) == ["c", "a", "b", "d"]


def test_an_unknown_price_is_the_highest() -> None:
    assert usual_cost(Price(input=1, output=1)) < usual_cost(Price(input=1, output=2)) < usual_cost(None)
