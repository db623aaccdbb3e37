"""The bench's arithmetic: what the table prints follows from the samples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.estimate import Interval, interval, quantile, ratio_of_medians, ratios, slope
from bench.results import markdown
from bench.rounds import Load, Sample, sequence
from bench.row import Row, compare

COSTS = st.lists(st.floats(0.1, 1000), min_size=1, max_size=12)


def test_quantiles_are_linear_between_neighbours() -> None:
    assert [quantile([10, 20, 40], q) for q in (0, 0.25, 0.5, 0.75, 1)] == [10, 15, 20, 30, 40]


@given(COSTS)
def test_an_interval_encloses_its_median_and_stays_within_the_values(values: list[float]) -> None:
    found = interval(values)
    assert min(values) <= found.low <= found.median <= found.high <= max(values)
    assert found.n == len(values)


def test_an_interval_is_the_same_every_time() -> None:
    assert interval([1, 2, 3, 4, 9]) == interval([1, 2, 3, 4, 9])


def test_ratios_are_taken_pair_by_pair_so_that_a_slow_minute_cancels() -> None:
    assert ratios([30, 300, 60], [10, 100, 20]) == Interval(3, 3, 3, 3)


def test_ratios_of_unequal_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1, 2], [1])


def test_a_ratio_of_medians_survives_a_pair_whose_own_ratio_is_senseless() -> None:
    assert ratio_of_medians([4, 4, 4, 4, 4], [2, 2, 2, 2, -0.001]).median == 2


def test_the_slope_leaves_out_what_opening_a_stream_costs() -> None:
    opening, per_event = 300.0, 12.5
    short, long = opening + 16 * per_event, opening + 528 * per_event
    assert slope(short, long, 16, 528) == per_event


def test_rounds_run_forwards_and_backwards() -> None:
    assert "".join(sequence("ABC", 3)) == "ABCCBAABC"


def test_a_sample_divides_cpu_by_work_and_by_time() -> None:
    sample = Sample(Load(units=2000, seconds=0.5), cpu_ns=40_000_000, wait_ns=0)
    assert (sample.cpu_us_per_unit, sample.units_per_second, sample.busy) == (20, 4000, 0.08)


@pytest.mark.parametrize(("control", "void"), [([10.4, 10.4], False), ([10.6, 10.6], True), ([9.4, 9.4], True)])
def test_a_row_is_void_when_nginx_against_nginx_is_not_one(control: list[float], *, void: bool) -> None:
    costs = {"nginx": [10.0, 10.0], "control": control, "gateway": [40.0, 40.0]}
    row = compare("1", "CPU", costs, unit="us", more="")
    assert row.ratio == Interval(4, 4, 4, 2)
    assert bool(row.verdict) is void
    text = markdown({}, [row])
    assert ("| CPU | VOID: control" in text) is void
    assert ("| CPU | 4 [4, 4] n=2 |" in text) is not void


def test_a_failed_check_is_said_even_when_the_control_is_good() -> None:
    assert Row("1", "CPU", control=Interval(1, 1, 1, 5), void="3 answers lost").verdict == "3 answers lost"
