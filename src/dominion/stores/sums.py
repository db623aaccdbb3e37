"""What ledger rows add up to: hourly roll-ups, and from these the windows of day and month; pure arithmetic."""

from collections.abc import Iterable

import msgspec

from dominion.domain.records import Outcome, Totals, UsageRow
from dominion.rules.windows import month_of

HOUR_MS = 3_600_000
Hour = tuple[int, str, str, str]
"""UTC hours since the epoch, user id, provider, model."""
Window = tuple[str, str, int]
"""Scope, kind ('d' or 'm') and number, as in `schema.usage_windows`."""


class HourSums(msgspec.Struct):
    """One roll-up; the fields are the columns of `schema.usage_hours`. `requests` does not hold the failed ones."""

    requests: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0


def scope_of_user(user_id: str) -> str:
    """The scope of a user's windows."""
    return f"user:{user_id}"


def add_up(rows: Iterable[UsageRow], hours: dict[Hour, HourSums]) -> None:
    """Add rows to roll-ups. A failed request counts as such and in nothing else."""
    for row in rows:
        key = (row.at // HOUR_MS, row.user_id, row.provider, row.model)
        sums = hours.get(key)
        if sums is None:
            sums = hours[key] = HourSums()
        if row.outcome == Outcome.FAILED:
            sums.failed += 1
            continue
        sums.requests += 1
        sums.input_tokens += row.input_tokens
        sums.output_tokens += row.output_tokens
        sums.cache_read_tokens += row.cache_read_tokens
        sums.cache_write_tokens += row.cache_write_tokens
        sums.reasoning_tokens += row.reasoning_tokens
        sums.cost_nano += row.cost_nano


def windows_of(hours: dict[Hour, HourSums]) -> dict[Window, Totals]:
    """The windows that roll-ups add up to."""
    windows: dict[Window, Totals] = {}
    for (hour, user_id, _, _), sums in hours.items():
        day = hour // 24
        for kind, number in (("d", day), ("m", month_of(day))):
            totals = windows.setdefault((scope_of_user(user_id), kind, number), Totals())
            totals.requests += sums.requests
            totals.tokens += sums.input_tokens + sums.output_tokens
            totals.spend_nano += sums.cost_nano
    return windows
