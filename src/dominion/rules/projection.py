"""What a month will have cost at its end, from what it has cost so far; integers only, and never a promise.

Two figures, because each is wrong in a way of its own: by the share of the month that has passed, which knows this
month only, and by the pace of the seven days before today, which follows a change sooner.
"""

from typing import NamedTuple

from dominion.domain.usage import NANO_DIGITS, NANO_PER_USD, usd
from dominion.rules.windows import SECONDS_A_DAY, first_day, month_end, month_of

WEEK = 7
CENT = NANO_PER_USD // 100


class Projection(NamedTuple):
    """In nano-dollars, rounded up. `by_share` None: the month is younger than a day, and its share says nothing."""

    by_share: int | None
    by_week: int

    @property
    def nano(self) -> int:
        """The figure to go by."""
        return self.by_week if self.by_share is None else self.by_share


def week_before(day: int) -> range:
    """The seven whole days before a day, which has not ended."""
    return range(day - WEEK, day)


def project(spent: int, week: int, at: float) -> Projection:
    """`spent` nano-dollars in this month until `at` (epoch seconds), `week` in the days of `week_before`."""
    second = int(at)
    month = month_of(second // SECONDS_A_DAY)
    begin, end = first_day(month) * SECONDS_A_DAY, month_end(month)
    elapsed = second - begin
    return Projection(
        None if elapsed < SECONDS_A_DAY else _up(spent * (end - begin), elapsed),
        spent + _up(week * (end - second), WEEK * SECONDS_A_DAY),
    )


def on_track(nano: int) -> str:
    """The sentence of document 003, to the nearest cent."""
    if 0 < nano < CENT:
        return "You're on track for less than $0.01 this month."
    cents = max(0, nano + CENT // 2) // CENT
    return f"You're on track for ${_grouped(cents * CENT)} this month."


def _grouped(nano: int) -> str:
    """1234567.89 as 1,234,567.89."""
    whole, _, part = usd(nano).partition(".")
    return f"{int(whole):,}.{part[: 2 - NANO_DIGITS]}"


def _up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
