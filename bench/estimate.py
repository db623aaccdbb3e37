"""The bench's arithmetic: quantiles, medians of ratios with their confidence, slopes. Pure."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_RESAMPLES = 2000
_SEED = 20


@dataclass(frozen=True)
class Interval:
    """A median of `n` values and its 95 % bootstrap confidence interval."""

    median: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """`3.712 [3.650, 3.804] n=8`."""
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}] n={self.n}"

    def near_one(self, tolerance: float) -> bool:
        """Whether the median is 1 within the tolerance."""
        return abs(self.median - 1) <= tolerance


def interval(values: Sequence[float]) -> Interval:
    """The median of at least one value, with a seeded percentile bootstrap of the median."""
    rng = random.Random(_SEED)  # noqa: S311 -- resampling
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return Interval(statistics.median(values), quantile(medians, 0.025), quantile(medians, 0.975), len(values))


def ratios(ours: Sequence[float], reference: Sequence[float]) -> Interval:
    """The interval of ours / reference, block pair by block pair."""
    return interval([a / b for a, b in zip(ours, reference, strict=True)])


def quantile(ordered: Sequence[float], q: float) -> float:
    """The q-quantile of sorted values, linear between neighbours."""
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def slope(cost_short: float, cost_long: float, short: int, long: int) -> float:
    """Cost per further event, from the cost of a stream of `short` and one of `long` events."""
    return (cost_long - cost_short) / (long - short)


def ratio_of_medians(ours: Sequence[float], reference: Sequence[float]) -> Interval:
    """median(ours) / median(reference), bootstrapped over pairs: for differences whose single ratios mean little."""
    pairs = list(zip(ours, reference, strict=True))

    def ratio(chosen: Sequence[tuple[float, float]]) -> float:
        return statistics.median(a for a, _ in chosen) / statistics.median(b for _, b in chosen)

    rng = random.Random(_SEED)  # noqa: S311 -- resampling
    found = sorted(ratio(rng.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLES))
    return Interval(ratio(pairs), quantile(found, 0.025), quantile(found, 0.975), len(pairs))
