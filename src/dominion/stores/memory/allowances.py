"""Budgets and allowances without a disk, for tests of the floors above: same contracts, and nothing survives."""

from collections.abc import Callable, Sequence

from dominion.domain.allowances import NOTHING, Amount, Peer, Report, ScopeLimits, Taken, Want, WindowKey
from dominion.domain.records import UsageRow
from dominion.rules.limits.allowances import found_row, grant, lost_rows
from dominion.stores.memory.accounts import Lease, MemoryLedger, nothing


class MemoryBudgets:
    """`BudgetStore` in a dictionary."""

    def __init__(self, before: Callable[[], None] = nothing) -> None:
        """Empty."""
        self._before = before
        self._budgets: dict[str, ScopeLimits] = {}

    async def budgets(self) -> dict[str, ScopeLimits]:
        """All of them, by scope."""
        self._before()
        return dict(self._budgets)

    async def put_budget(self, scope: str, limits: ScopeLimits, at: int) -> None:  # noqa: ARG002 - `BudgetStore`
        """Set the limits of a scope; the ledger in memory knows all windows anyway."""
        self._before()
        self._budgets[scope] = limits

    async def remove_budget(self, scope: str) -> bool:
        """Whether there was one."""
        self._before()
        return self._budgets.pop(scope, None) is not None


class MemoryAllowances:
    """`AllowanceStore` over a ledger in memory; the processes share one."""

    def __init__(self, ledger: MemoryLedger, before: Callable[[], None] = nothing) -> None:
        """Without processes."""
        self._before = before
        self._ledger = ledger
        self._peers: dict[str, Peer] = {}

    async def join(self, process_id: str) -> int:
        """See `AllowanceStore`."""
        self._before()
        known = self._peers.get(process_id, Peer(process_id, 0, 0, lost=False))
        await self._ledger.add([found_row(row) for row in await self._lost_rows(process_id)])
        self._give_back(process_id)
        self._peers[process_id] = Peer(process_id, known.life + 1, known.beat + 1, lost=False)
        return known.life + 1

    async def leave(self, process_id: str) -> None:
        """See `AllowanceStore`."""
        self._before()
        self._give_back(process_id)
        self._peers.pop(process_id, None)

    async def take(self, process_id: str, wants: Sequence[Want], peers: Sequence[str]) -> list[Taken]:
        """See `AllowanceStore`."""
        self._before()
        settled = await self._ledger.windows([want.window for want in wants])
        taken: list[Taken] = []
        for want, totals in zip(wants, settled, strict=True):
            own = self._ledger.leases.setdefault((process_id, want.window), Lease())
            others = {
                holder: lease
                for (holder, window), lease in self._ledger.leases.items()
                if window == want.window and holder != process_id
            }
            used = Amount(totals.requests, totals.tokens, totals.spend_nano)
            for lease in others.values():
                used += lease.out.atleast(NOTHING)
            more, short = grant(want, used, own.out, processes=len(peers) + 1)
            own.granted += more
            asked = [others[peer] for peer in peers if short and peer in others]
            for lease in asked:
                lease.recall = True
            taken.append(Taken(more, used + own.out.atleast(NOTHING), asked=bool(asked)))
        return taken

    async def recalled(self, process_id: str) -> list[WindowKey]:
        """See `AllowanceStore`."""
        self._before()
        return [
            window for (holder, window), lease in self._ledger.leases.items() if holder == process_id and lease.recall
        ]

    async def report(self, process_id: str, life: int, reports: Sequence[Report]) -> list[Peer] | None:
        """See `AllowanceStore`."""
        self._before()
        known = self._peers.get(process_id)
        if known is None or known.lost or known.life != life:
            return None
        self._peers[process_id] = Peer(process_id, life, known.beat + 1, lost=False)
        for report in reports:
            lease = self._ledger.leases.get((process_id, report.window))
            if lease is not None:
                lease.granted, lease.used, lease.recall = report.granted, report.used, False
        return list(self._peers.values())

    async def forget(self, process_id: str, windows: Sequence[WindowKey]) -> None:
        """See `AllowanceStore`."""
        self._before()
        for window in windows:
            self._ledger.leases.pop((process_id, window), None)

    async def purge(self, day: int, month: int) -> None:
        """See `AllowanceStore`."""
        self._before()
        for holder, (scope, kind, number) in list(self._ledger.leases):
            if (kind == "d" and number < day - 2) or (kind == "m" and number < month - 1):
                del self._ledger.leases[holder, (scope, kind, number)]

    async def lose(self, peer: Peer, at: int) -> bool:
        """See `AllowanceStore`."""
        self._before()
        if self._peers.get(peer.process) != peer or peer.lost:
            return False
        self._peers[peer.process] = Peer(peer.process, peer.life, peer.beat, lost=True)
        leases = {window: lease for (holder, window), lease in self._ledger.leases.items() if holder == peer.process}
        used = {window: (lease.used - lease.posted).atleast(NOTHING) for window, lease in leases.items()}
        await self._ledger.add(lost_rows(peer, used, at))
        for window, lease in leases.items():
            lease.granted, lease.recall = lease.used.atleast(lease.posted), False
            if window[0].startswith("user:") or window[1] == "c":
                del self._ledger.leases[peer.process, window]
        return True

    def _give_back(self, process_id: str) -> None:
        for key in [key for key in self._ledger.leases if key[0] == process_id]:
            del self._ledger.leases[key]

    async def _lost_rows(self, process_id: str) -> list[UsageRow]:
        rows = await self._ledger.rows(user_id=None, limit=1 << 31)
        return [row for row in rows if row.id.startswith(f"lost:{process_id}:")]
