"""UTC days and months as plain numbers, and when they end. A window has no reset job: a new number is a new window.

A day is counted from the epoch (1970-01-01 is 0), a month is year * 12 + month - 1.
"""

from datetime import UTC, datetime

SECONDS_A_DAY = 86_400


def day_of(at: float) -> int:
    """The UTC day of epoch seconds."""
    return int(at // SECONDS_A_DAY)


def month_of(day: int) -> int:
    """The month that a day lies in."""
    date = datetime.fromtimestamp(day * SECONDS_A_DAY, UTC)
    return date.year * 12 + date.month - 1


def day_end(day: int) -> int:
    """Epoch seconds of the next day's first moment."""
    return (day + 1) * SECONDS_A_DAY


def month_end(month: int) -> int:
    """Epoch seconds of the next month's first moment."""
    year, index = divmod(month + 1, 12)
    return int(datetime(year, index + 1, 1, tzinfo=UTC).timestamp())


def first_day(month: int) -> int:
    """The first day of a month."""
    year, index = divmod(month, 12)
    return day_of(datetime(year, index + 1, 1, tzinfo=UTC).timestamp())


def iso(at: float) -> str:
    """Epoch seconds as 2026-01-05T00:00:00Z."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_day(day: int) -> str:
    """A day as 2026-01-05."""
    return iso(day * SECONDS_A_DAY)[:10]


def day_from_iso(text: str) -> int:
    """2026-01-05 as a day. Raises ValueError."""
    return day_of(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
