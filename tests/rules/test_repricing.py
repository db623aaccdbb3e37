"""repricing.py: a row and its corrections together cost what the price says, however often prices change."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dominion.domain.records import Outcome, UsageRow
from dominion.domain.usage import Price, Usage
from dominion.rules.prices.pricing import charge
from dominion.rules.prices.repricing import correction, grouped
from tests.rules.test_pricing import prices, usages
from tests.stores.samples import row

LARGEST = 1 << 53


def row_of(usage: Usage, cost: int) -> UsageRow:
    return row(
        7,
        outcome=int(Outcome.OK),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        cost_nano=cost,
    )


@given(usages(), st.integers(0, 10**12), st.lists(prices(), min_size=1, max_size=6))
def test_after_every_change_of_price_a_row_and_its_corrections_cost_what_it_says(
    usage: Usage, charged: int, changes: list[Price]
) -> None:
    group = [row_of(usage, charged)]
    for price in changes:
        made = correction(group, price, LARGEST)
        if made is not None:
            assert made.cost_nano
            group.append(made)
        assert sum(each.cost_nano for each in group) == min(charge(usage, price), LARGEST)
        assert correction(group, price, LARGEST) is None
    assert len({each.id for each in group}) == len(group)


def test_a_correction_has_the_row_of_its_money_and_nothing_that_is_counted_twice() -> None:
    charged = row_of(Usage(1_000, 500), 0)
    made = correction([charged], Price(2_500_000, 10_000_000), LARGEST)
    assert made is not None
    assert (made.id, made.outcome, made.cost_nano) == ("req_7~1", Outcome.CORRECTION, 7_500_000)
    same = ("at", "user_id", "key_id", "provider", "model", "door", "customer", "run")
    assert [getattr(made, name) for name in same] == [getattr(charged, name) for name in same]
    counted = [name for name in UsageRow.__struct_fields__ if name.endswith(("_tokens", "_ms"))]
    assert {getattr(made, name) for name in counted} == {0}


def test_made_twice_from_the_same_facts_a_correction_is_the_same_row() -> None:
    group = [row_of(Usage(1_000, 500), 0)]
    assert correction(group, Price(1_000, 1_000), LARGEST) == correction(group, Price(1_000, 1_000), LARGEST)


def test_a_correction_never_makes_a_row_that_no_database_takes() -> None:
    absurd = row_of(Usage(2**60, 2**60), LARGEST)
    assert correction([absurd], Price(10**9, 10**9), LARGEST) is None


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_found_with_their_corrections_in_order_whatever_the_order_of_reading(seed: int) -> None:
    marks = ("", *(f"~{number}" for number in range(1, 13)))
    rows = [replace(row(1), id=f"req_{number}{mark}") for number in (1, 10) for mark in marks]
    mixed = random.Random(seed).sample(rows, len(rows))
    assert grouped(mixed) == {"req_1": rows[:13], "req_10": rows[13:]}
