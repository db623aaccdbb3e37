"""Alerts and their outbox without a disk, for tests of the floors above; see `accounts` for `before`."""

from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from dominion.domain.alerts import Delivery, Level, Notice
from dominion.domain.allowances import ScopeLimits, WindowKey
from dominion.rules.windows import month_of
from dominion.stores.memory.accounts import MemoryLedger, MemoryPeople, nothing
from dominion.stores.memory.allowances import MemoryBudgets


class MemoryAlerts:
    """`AlertStore` in dictionaries, beside the stores that have what it looks at."""

    def __init__(
        self,
        people: MemoryPeople,
        budgets: MemoryBudgets,
        ledger: MemoryLedger,
        before: Callable[[], None] = nothing,
    ) -> None:
        """Empty."""
        self._before = before
        self._people = people
        self._budgets = budgets
        self._ledger = ledger
        self._notices: dict[str, Notice] = {}
        self._deliveries: dict[tuple[str, str], Delivery] = {}

    async def levels(self, scopes: Collection[str] | None, day: int, percent: int) -> list[Level]:
        """Of `scopes` (None: of all) those that have limits; see `AlertStore`."""
        self._before()
        month = month_of(day)
        limits = await self._budgets.budgets()
        found: list[tuple[WindowKey, ScopeLimits]] = [
            ((scope, *window), limits[scope]) for window in (("d", day), ("m", month), ("r", 0)) for scope in limits
        ]
        for user in await self._people.users(limit=1 << 31) if percent else ():
            spend = user.limits.monthly_spend_nano
            if spend is not None:
                found.append(((f"user:{user.id}", "m", month), ScopeLimits(monthly_spend_nano=spend)))
        asked = [each for each in found if scopes is None or each[0][0] in scopes]
        sums = await self._ledger.windows([key for key, _ in asked])
        levels = [Level(*key, used, of) for (key, of), used in zip(asked, sums, strict=True) if used.requests > 0]
        return [one for one in levels if not one.scope.startswith("user:") or _reached(one, percent)]

    async def add(self, notices: Sequence[Notice], channels: Sequence[str]) -> list[Notice]:
        """Add notices, due on these channels at once. Those that were new."""
        self._before()
        new = [one for one in notices if self._notices.setdefault(one.id, one) is one]
        for one in new:
            self._deliveries |= {(one.id, name): Delivery(name, 0, one.at) for name in channels}
        return new

    async def next_due(self, channel: str) -> int | None:
        """When the next delivery of a channel is due."""
        self._before()
        return min((one.next_at for one in self._of(channel).values() if one.next_at is not None), default=None)

    async def take(self, channel: str, now: int, until: int, most: int) -> list[tuple[Notice, int]]:
        """Those that are due, with their number of tries."""
        self._before()
        found = [
            (one.next_at, self._notices[name]) for name, one in self._of(channel).items() if one.next_at is not None
        ]
        due = sorted((each for each in found if each[0] <= now), key=lambda each: (each[0], each[1].at, each[1].id))
        taken = []
        for _, notice in due[:most]:
            before = self._deliveries[notice.id, channel]
            self._deliveries[notice.id, channel] = replace(before, tries=before.tries + 1, next_at=until)
            taken.append((notice, before.tries + 1))
        return taken

    async def settle(self, channel: str, notice_ids: Sequence[str], outcome: Delivery) -> None:
        """What a try came to."""
        self._before()
        for name in notice_ids:
            tries = self._deliveries[name, channel].tries
            self._deliveries[name, channel] = replace(outcome, channel=channel, tries=tries)

    async def recent(self, limit: int) -> list[tuple[Notice, list[Delivery]]]:
        """The newest first, with their deliveries by channel."""
        self._before()
        newest = sorted(self._notices.values(), key=lambda one: (-one.at, one.id))[:limit]
        keys = sorted(self._deliveries)
        return [(one, [self._deliveries[key] for key in keys if key[0] == one.id]) for one in newest]

    async def purge(self, before: int) -> None:
        """Forget notices that are older."""
        self._before()
        self._notices = {name: one for name, one in self._notices.items() if one.at >= before}
        self._deliveries = {key: one for key, one in self._deliveries.items() if key[0] in self._notices}

    def _of(self, channel: str) -> dict[str, Delivery]:
        return {name: one for (name, of), one in self._deliveries.items() if of == channel}


def _reached(level: Level, percent: int) -> bool:
    return level.used.spend_nano // percent >= (level.limits.monthly_spend_nano or 0) // 100
