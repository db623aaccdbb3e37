"""Percentiles by nearest rank, and error rates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.rules.routing.latency import error_rate, percentile


@given(values=st.lists(st.integers(0, 10**6), min_size=1, max_size=300), percent=st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[int], percent: int) -> None:
    found = percentile(sorted(values), percent)
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


@pytest.mark.parametrize(
    ("requests", "failed", "broken", "rate"),
    [(0, 0, 0, 0.0), (0, 3, 0, 1.0), (99, 1, 0, 0.01), (2, 1, 1, 0.6667), (-1, 0, 0, 0.0)],
)
def test_the_error_rate_counts_failed_requests_in_and_of_what_was_asked(
    requests: int, failed: int, broken: int, rate: float
) -> None:
    assert error_rate(requests, failed, broken) == rate
