"""Attempts without a disk, for tests of the floors above; see `accounts` for `before`."""

from collections.abc import Callable, Sequence

from dominion.domain.records import AttemptRecord, UsageRow
from dominion.stores.memory.accounts import MemoryLedger, nothing


class MemoryAttempts:
    """`AttemptStore` in a dictionary, beside the ledger that has the rows."""

    def __init__(self, ledger: MemoryLedger, before: Callable[[], None] = nothing) -> None:
        """Empty."""
        self._ledger = ledger
        self._before = before
        self._attempts: dict[tuple[str, int], AttemptRecord] = {}

    async def add(self, attempts: Sequence[AttemptRecord]) -> None:
        """Add them; those whose request and number exist are left alone."""
        self._before()
        for attempt in attempts:
            self._attempts.setdefault((attempt.request_id, attempt.number), attempt)

    async def of_request(self, request_id: str) -> list[AttemptRecord]:
        """Those of a request, in their order."""
        self._before()
        return [self._attempts[key] for key in sorted(self._attempts) if key[0] == request_id]

    async def since(self, at: int, limit: int) -> list[AttemptRecord]:
        """Those that ended at `at` (epoch milliseconds) or later, newest first."""
        self._before()
        found = [attempt for attempt in self._attempts.values() if attempt.at >= at]
        return sorted(found, key=lambda one: (one.at, one.request_id, one.number), reverse=True)[:limit]

    async def rows(self, request_ids: Sequence[str]) -> list[UsageRow]:
        """The ledger's rows of these requests, in any order."""
        self._before()
        return [row for row in await self._ledger.rows(user_id=None, limit=1 << 31) if row.id in request_ids]
