"""rules/prices/choosing.py: the right model, and differences that are exact."""

from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dominion.domain.providers import ModelRow
from dominion.domain.usage import Price, Usage
from dominion.rules.prices.choosing import (
    LOADS,
    Task,
    difference,
    difference_sentence,
    dollars,
    estimate_cost,
    recommend,
)
from tests.rules.test_pricing import exact_nano, prices, usages

GPT_4O = Price(input=2_500_000, output=10_000_000, cache_read=1_250_000)
EVERYTHING = frozenset({"tools", "vision", "reasoning", "structured_output", "streaming"})
tasks = st.sampled_from(get_args(Task))


def model(name: str, price: Price | None, **fields: object) -> ModelRow:
    return replace(ModelRow(id=name, provider="p", price=price, abilities=EVERYTHING), **fields)


CHEAP, MIDDLE, DEAR = (model(name, Price(10**n, 10**n)) for n, name in ((5, "cheap"), (6, "middle"), (7, "dear")))
PLENTY = 10**12


@pytest.mark.promise("003-199", "003-017")
def test_a_thousand_tokens_in_and_five_hundred_out_of_gpt_4o_are_exactly_0_0075_dollars() -> None:
    assert estimate_cost(GPT_4O, 1000, 500) == 7_500_000


def test_the_cheapest_that_can_is_recommended_for_light_tasks_and_the_dearest_affordable_for_demanding_ones() -> None:
    for task in get_args(Task):
        choice = recommend([MIDDLE, DEAR, CHEAP], PLENTY, task)
        assert choice is not None
        assert choice.model is (DEAR if task in ("code", "reasoning") else CHEAP)
    load = LOADS["code"].usage
    budget = estimate_cost(MIDDLE.price or GPT_4O, load.input_tokens, load.output_tokens)
    choice = recommend([CHEAP, MIDDLE, DEAR], budget, "code")
    assert choice is not None
    assert (choice.model, choice.nano) == (MIDDLE, budget)


@pytest.mark.parametrize(
    "unfit",
    [
        {"deprecated": "something newer"},
        {"price": None},
        {"abilities": EVERYTHING - {"structured_output"}},
        {"abilities": frozenset()},
        {"context_window": 4_000},
        {"max_output": 499},
    ],
    ids=["deprecated", "no price", "an ability too few", "no abilities", "short context", "short answers"],
)
def test_a_model_that_cannot_do_it_is_never_recommended(unfit: dict[str, object]) -> None:
    broken = replace(model("broken", Price(1, 1)), **unfit)
    choice = recommend([broken, DEAR], PLENTY, "extraction")
    assert choice is not None
    assert choice.model is DEAR
    assert recommend([broken], PLENTY, "extraction") is None


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), max_size=6), st.integers(0, PLENTY), tasks)
def test_what_is_recommended_is_within_the_budget_and_nothing_fitting_is_overlooked(
    rates: list[tuple[int, int]], budget: int, task: Task
) -> None:
    models = [model(f"m{number}", Price(*rate)) for number, rate in enumerate(rates)]
    usage = LOADS[task].usage
    exact = [exact_nano(usage, each.price or GPT_4O) for each in models]
    choice = recommend(models, budget, task)
    if choice is None:
        assert all(cost > budget for cost in exact)
    else:
        assert choice.nano <= budget
        assert 0 <= choice.nano - exact[models.index(choice.model)] < 1


@given(prices(), prices(), usages())
def test_a_difference_is_exact_to_a_nano_dollar_and_has_the_right_sign(a: Price, b: Price, tokens: Usage) -> None:
    exact: Fraction = exact_nano(tokens, b) - exact_nano(tokens, a)
    assert abs(difference(a, b, tokens) - exact) < 1
    assert difference(a, b, tokens) == -difference(b, a, tokens)
    assert difference(a, a, tokens) == 0


@pytest.mark.promise("003-131")
@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (50_000_000, "This will cost ~$0.05 more per run"),
        (-50_000_000, "This will cost ~$0.05 less per run"),
        (1_234_000, "This will cost ~$0.0012 more per run"),
        (12_345_678_900, "This will cost ~$12.35 more per run"),
        (0, "This will cost the same per run"),
    ],
)
def test_a_difference_is_told_as_people_read_it(nano: int, text: str) -> None:
    assert difference_sentence(nano) == text


def test_amounts_below_a_cent_keep_two_digits() -> None:
    assert [dollars(nano) for nano in (0, 1, 15, 10_000_000)] == ["$0.00", "$0.0000000010", "$0.000000015", "$0.01"]
