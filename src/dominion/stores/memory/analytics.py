"""Figures over all users without a disk, for tests of the floors above: the contract of `AnalyticsStore`."""

from collections.abc import Callable

from msgspec.structs import asdict

from dominion.domain.analytics import Counted, Grouping, Timed
from dominion.domain.records import Outcome, Totals
from dominion.rules.windows import iso_day
from dominion.stores.memory.accounts import MemoryLedger
from dominion.stores.sums import Day, GroupSums, add_to, customers_of, days_of, windows_of

_NAMES: dict[Grouping, Callable[[Day], str]] = {
    "provider": lambda key: key[1],
    "model": lambda key: f"{key[1]}/{key[2]}",
    "day": lambda key: iso_day(key[0]),
}


class MemoryAnalytics:
    """`AnalyticsStore` over a ledger in memory."""

    def __init__(self, ledger: MemoryLedger) -> None:
        """Over its tables."""
        self._tables = ledger.tables

    async def days(self, group: Grouping, first_day: int, last_day: int) -> list[Counted]:
        """Sums over days, both included: of days in their order, of others the most expensive first."""
        found: dict[str, GroupSums] = {}
        for key, sums in days_of(self._tables.groups).items():
            if first_day <= key[0] <= last_day:
                add_to(found.setdefault(_NAMES[group](key), GroupSums()), sums)
        counted = sorted(_counted(found), key=lambda one: one.name)
        return counted if group == "day" else _dearest(counted)

    async def customers(self, month: int, limit: int) -> list[Counted]:
        """Sums over a month, the most expensive first; "" is the name of whoever was not named."""
        months = customers_of(self._tables.groups)
        return _dearest(_counted({name: sums for (number, name), sums in months.items() if number == month}))[:limit]

    async def users(self, month: int, limit: int) -> list[tuple[str, Totals]]:
        """User ids with their sums over a month, the most expensive first."""
        found = [
            (scope.removeprefix("user:"), totals)
            for (scope, *window), totals in windows_of(self._tables.groups, ()).items()
            if scope.startswith("user:") and window == ["m", month]
        ]
        return sorted(found, key=lambda one: (-one[1].spend_nano, one[0]))[:limit]

    async def newest(self, since: int, limit: int) -> list[Timed]:
        """Requests that came at `since` or later, newest first."""
        rows = [row for row in self._tables.rows.values() if row.at >= since and row.outcome < Outcome.CORRECTION]
        rows.sort(key=lambda row: (row.at, row.id), reverse=True)
        return [Timed(*(getattr(row, name) for name in Timed.__struct_fields__)) for row in rows[:limit]]


def _counted(found: dict[str, GroupSums]) -> list[Counted]:
    return [Counted(name, **asdict(sums)) for name, sums in found.items()]


def _dearest(counted: list[Counted]) -> list[Counted]:
    return sorted(counted, key=lambda one: (-one.cost_nano, one.name))
