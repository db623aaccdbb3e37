"""The standings of keys, providers, customers and runs that have limits. A request of none of them costs nothing here.

A scope's standing begins exactly: with what the database knows, what the journal knows beyond it, and what is held by
requests that run already.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from dominion.domain.allowances import EVERY_RUN, ScopeLimits, WindowKey, scopes_of
from dominion.domain.contracts import Call
from dominion.domain.errors import LimitExceeded, ModelNotAvailable
from dominion.domain.records import HoldRecord, Outcome, UsageRow
from dominion.domain.stores import BudgetStore, LedgerStore
from dominion.rules.limits.shares import windows_of_row
from dominion.rules.limits.verdict import Rate, ScopeStanding, Window
from dominion.rules.windows import day_of, month_of
from dominion.services.limits.admission import Admission, Hold, add_row, set_aside, window_of
from dominion.services.limits.allowances import Allowances
from dominion.services.limits.posting import Posting
from dominion.services.offer.routing import Ways

REMEMBERED_RUNS = 10_000
T = TypeVar("T")


class Scopes:
    """The limits of scopes, and the standings of those that were asked for since the start.

    `active` False: a request of any caller has nothing to ask here. `leases` where processes share a database.
    """

    def __init__(
        self,
        budgets: BudgetStore,
        ledger: LedgerStore,
        posting: Posting,
        admission: Admission,
        leases: Allowances | None = None,
    ) -> None:
        self._budgets = budgets
        self._ledger = ledger
        self._posting = posting
        self._admission = admission
        self._leases = leases
        self.limits: Mapping[str, ScopeLimits] = {}
        self.standings: dict[str, ScopeStanding] = {}
        self.active = leases is not None

    async def load(self) -> None:
        """Read all limits; they hold from the next request on. Raises StorageUnavailable."""
        self.limits = await self._budgets.budgets()
        self.active = bool(self.limits) or self._leases is not None
        for scope, standing in list(self.standings.items()):
            limits = self._limits_of(scope)
            if limits is None:
                del self.standings[scope]
                if self._leases is not None:
                    await self._leases.drop(standing)
            elif limits != standing.told:
                standing.limits, standing.whole, standing.soft_tokens = limits, None, limits.soft_run_tokens
                if self._leases is not None:
                    self._leases.adopt(standing)

    async def admit(self, call: Call, ways: Ways, attempt: Callable[[Ways, Sequence[ScopeStanding]], T]) -> T:
        """What `attempt` returns: it holds for a call that `ways` may answer, in all standings it is given.

        Providers whose budgets are used up are left out. Raises what the attempt raises, LimitExceeded when no
        provider is left, StorageUnavailable.
        """
        user = call.principal.user
        standing = self._admission.known(user.id) or await self._admission.standing(user)
        while True:
            provider = ways.routes[0].slot.row.id
            others: list[ScopeStanding] = []
            if self.limits:
                scopes = scopes_of(user.id, call.principal.key_id, provider, call.customer, call.run)
                others = [await self.standing(scope) for scope in scopes if self._limits_of(scope) is not None]
            hold = partial(attempt, ways, others)
            try:
                return hold() if self._leases is None else await self._leases.admit(standing, user.limits, hold)
            except LimitExceeded as refused:
                rest = ways.without(provider) if refused.scope == f"provider:{provider}" else None
                if rest is None:
                    raise
                ways = rest

    async def standing(self, scope: str) -> ScopeStanding:
        """One of them; its scope has limits."""
        standing = self.standings.get(scope)
        if standing is None:
            standing = await self._begin(scope)
        self._admission.turn(standing)
        return standing

    async def move(self, hold: Hold, provider: str) -> None:
        """A provider is about to be asked: what is set aside goes with the request. Raises ModelNotAvailable when
        its budget is used up: the next one is asked, and its breaker stays as it is."""
        asked = f"provider:{provider}"
        if not hold.others and asked not in self.limits:
            return
        now = next((part.standing for part in hold.others or () if part.standing.scope.startswith("provider:")), None)
        if now is not None and now.scope == asked:
            return
        to = await self.standing(asked) if asked in self.limits else None
        away = now.scope if now is not None else ""

        def move() -> None:
            self._admission.move(hold, away, to)

        try:
            if self._leases is not None and to is not None:
                await self._leases.lease_for(to, move)
            else:
                move()
        except LimitExceeded as error:
            raise ModelNotAvailable(f"{error.message}.", provider=provider, action=error.action) from error

    def correct(self, row: UsageRow) -> None:
        """A correcting row was written to the ledger: its scopes follow, as users do (`Admission.correct`)."""
        if self._leases is not None:
            return
        day = day_of(row.at / 1000)
        for scope in scopes_of(row.user_id, row.key_id, row.provider, row.customer, row.run):
            standing = self.standings.get(scope)
            if standing is not None and standing.day.number == day:
                standing.day.spend += row.cost_nano
            if standing is not None and standing.month.number == month_of(day):
                standing.month.spend += row.cost_nano

    def _limits_of(self, scope: str) -> ScopeLimits | None:
        limits = self.limits.get(scope)
        if not scope.startswith("run:"):
            return limits
        limits = limits or self.limits.get(EVERY_RUN)
        if limits is None or (limits.hard_run_tokens is None and limits.soft_run_tokens is None):
            return None
        return ScopeLimits(daily_tokens=limits.hard_run_tokens, soft_run_tokens=limits.soft_run_tokens)

    async def _begin(self, scope: str) -> ScopeStanding:
        day = day_of(self._admission.now())
        month, is_run = month_of(day), scope.startswith("run:")
        keys = [(scope, "r", 0), (scope, "m", month)] if is_run else [(scope, "d", day), (scope, "m", month)]
        async with self._posting.quiet():
            today, this_month = await self._ledger.windows(keys)
            limits = self._limits_of(scope)
            if scope in self.standings or limits is None:  # somebody else was faster, or changed their mind
                return self.standings.get(scope) or ScopeStanding(ScopeLimits(), Window(day), Window(month), Rate())
            standing = ScopeStanding(
                limits, window_of(0 if is_run else day, today), window_of(month, this_month), Rate(), scope=scope
            )
            standing.soft_tokens = limits.soft_run_tokens
            standing.ends = float("inf") if is_run else 0.0
            for row in self._posting.unposted():
                if row.outcome != Outcome.FAILED:
                    _add_unposted(standing, keys[0], keys[1], row)
            for hold in self._admission.holds.values():
                if scope in scopes_of_record(hold.record):
                    hold.others = [*(hold.others or ()), set_aside(standing, hold.grant)]
            self.standings[scope] = standing
        if self._leases is not None:
            self._leases.adopt(standing)
        elif is_run:
            self._forget_runs()
        return standing

    def _forget_runs(self) -> None:
        """Drop the oldest runs that rest; one that comes again is read from the database."""
        if len(self.standings) > REMEMBERED_RUNS:
            idle = [scope for scope, one in self.standings.items() if scope.startswith("run:") and not one.running]
            for scope in idle[: REMEMBERED_RUNS // 10]:
                del self.standings[scope]


def scopes_of_record(record: HoldRecord) -> set[str]:
    """All scopes of a request."""
    return set(scopes_of(record.user_id, record.key_id, record.provider, record.customer, record.run))


def _add_unposted(standing: ScopeStanding, first: WindowKey, month: WindowKey, row: UsageRow) -> None:
    windows = windows_of_row(row)
    if first in windows:
        add_row(standing.day, Window(0), row)
    if month in windows:
        standing.month.spend += row.cost_nano
