"""What single requests say together: how long they took, how fast they were, how many went wrong."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dominion.domain.analytics import Timed
from dominion.domain.records import Outcome

PERCENTS = (50, 90, 95, 99)


class Performance(NamedTuple):
    """Of some requests. `latency` and `first` are sorted milliseconds of whole answers: until their end, and until
    their first byte; `speeds` their sorted tokens per second."""

    requests: int
    failed: int
    cancelled: int
    broken: int
    latency: Sequence[int]
    first: Sequence[int]
    speeds: Sequence[int]


def performance(timed: Iterable[Timed]) -> Performance:
    """How they went. As in the ledger's sums, `failed` ones are not among `requests`."""
    outcomes: list[int] = []
    whole: list[Timed] = []
    for one in timed:
        outcomes.append(one.outcome)
        if one.outcome == Outcome.OK:
            whole.append(one)
    failed = outcomes.count(Outcome.FAILED)
    return Performance(
        len(outcomes) - failed,
        failed,
        outcomes.count(Outcome.CANCELLED),
        outcomes.count(Outcome.CUT),
        sorted(one.latency_ms for one in whole),
        sorted(one.first_ms for one in whole),
        sorted(one.output_tokens * 1000 // one.latency_ms for one in whole if one.output_tokens and one.latency_ms),
    )


def percentile(ordered: Sequence[int], percent: int) -> int:
    """The smallest value that so many percent of `ordered` values, at least one, do not exceed (nearest rank)."""
    return ordered[-(-percent * len(ordered) // 100) - 1]


def error_rate(requests: int, failed: int, broken: int) -> float:
    """Which part of all requests ended in an error, from 0 to 1, to four decimals. `failed` are not in `requests`."""
    asked = requests + failed
    return round((failed + broken) / asked, 4) if asked > 0 else 0.0
