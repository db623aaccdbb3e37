"""What ledger rows add up to: hourly roll-ups, and the windows of every scope they belong to; pure arithmetic."""

from collections.abc import Callable, Container, Hashable, Iterable, Mapping
from typing import TypeVar

import msgspec

from dominion.domain.allowances import EVERY_RUN, WindowKey, scopes_of
from dominion.domain.records import Outcome, Totals, UsageRow
from dominion.rules.windows import month_of

HOUR_MS = 3_600_000
ALWAYS = ("user:", "provider:")
COUNTS = (1, 1, 1, 0, 1, 0, -1)
"""What a row of each `Outcome` is in numbers of requests."""
Hour = tuple[int, str, str, str]
"""UTC hours since the epoch, user id, provider, model."""
Group = tuple[int, str, str, str, str, str, str]
"""An hour as above, key id, customer, run: rows are added up once, and all the rest is made of the few groups."""
Day = tuple[int, str, str]
"""UTC days since the epoch, provider, model."""
CustomerMonth = tuple[int, str]
"""A month (year * 12 + month - 1), and the customer, "": none was named."""
KeyT = TypeVar("KeyT", bound=Hashable)
SumsT = TypeVar("SumsT", bound=msgspec.Struct)


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


class GroupSums(HourSums):
    """The same, and how many of the requests the caller or the provider broke off; the fields are the columns of the
    tables in `schema.analytics`, too."""

    cancelled: int = 0
    broken: int = 0


def add_up(rows: Iterable[UsageRow], groups: dict[Group, GroupSums]) -> None:
    """Add rows to groups. A failed request counts as such and in nothing else."""
    for row in rows:
        key = (row.at // HOUR_MS, row.user_id, row.provider, row.model, row.key_id, row.customer, row.run)
        sums = groups.get(key)
        if sums is None:
            sums = groups[key] = GroupSums()
        if row.outcome == Outcome.FAILED:
            sums.failed += 1
            continue
        sums.requests += COUNTS[row.outcome]
        sums.input_tokens += row.input_tokens
        sums.output_tokens += row.output_tokens
        sums.cache_read_tokens += row.cache_read_tokens
        sums.cache_write_tokens += row.cache_write_tokens
        sums.reasoning_tokens += row.reasoning_tokens
        sums.cost_nano += row.cost_nano
        if row.outcome == Outcome.CANCELLED:
            sums.cancelled += 1
        elif row.outcome == Outcome.CUT:
            sums.broken += 1


def hours_of(groups: Mapping[Group, GroupSums]) -> dict[Hour, HourSums]:
    """The roll-ups that groups add up to."""
    return _added(groups, lambda group: group[:4], HourSums)


def days_of(groups: Mapping[Group, GroupSums]) -> dict[Day, GroupSums]:
    """The days of models that groups add up to."""
    return _added(groups, lambda group: (group[0] // 24, group[2], group[3]), GroupSums)


def customers_of(groups: Mapping[Group, GroupSums]) -> dict[CustomerMonth, GroupSums]:
    """The months of customers that groups add up to."""
    return _added(groups, lambda group: (month_of(group[0] // 24), group[5]), GroupSums)


def _added(
    groups: Mapping[Group, GroupSums], key: Callable[[Group], KeyT], made: Callable[[], SumsT]
) -> dict[KeyT, SumsT]:
    found: dict[KeyT, SumsT] = {}
    for group, sums in groups.items():
        add_to(found.setdefault(key(group), made()), sums)
    return found


def add_to(total: msgspec.Struct, sums: msgspec.Struct) -> None:
    """Add to each field of `total` the same of `sums`, which may have more."""
    for name in total.__struct_fields__:
        setattr(total, name, getattr(total, name) + getattr(sums, name))


def windows_of(groups: Mapping[Group, GroupSums], limited: Container[str] | None) -> dict[WindowKey, Totals]:
    """The windows that groups add up to: of the day, of the month, and of runs for good.

    Users and providers have them always; keys, customers and runs only if they are among the `limited` scopes (None:
    all are), because with many of them their windows would cost more than everything else of a row.
    """
    windows: dict[WindowKey, Totals] = {}
    for (hour, user_id, provider, _, key_id, customer, run), sums in groups.items():
        day = hour // 24
        month = month_of(day)
        for scope in scopes_of(user_id, key_id, provider, customer, run):
            is_run = scope.startswith("run:")
            asked = limited is None or scope in limited or (is_run and EVERY_RUN in limited)
            if not asked and not scope.startswith(ALWAYS):
                continue
            for kind, number in (("r", 0),) if is_run else (("d", day), ("m", month)):
                totals = windows.setdefault((scope, kind, number), Totals())
                totals.requests += sums.requests
                totals.tokens += sums.input_tokens + sums.output_tokens
                totals.spend_nano += sums.cost_nano
    return windows
