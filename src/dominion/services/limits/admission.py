"""Who may run now, and what is set aside for it. Everything on the hot path here is synchronous.

A verdict and its hold happen without anything in between. Settling is synchronous too: a cancelled request settles in a
plain `finally`, where no await can be lost. Where several processes share a database, `leases` sees to it that the
limits of a standing are those of this process alone; here nothing else differs.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from dominion.domain.contracts import Clock
from dominion.domain.people import Limits, User
from dominion.domain.records import HoldRecord, Outcome, Totals, UsageRow
from dominion.domain.stores import LedgerStore
from dominion.domain.usage import Price
from dominion.rules.limits.verdict import (
    Ask,
    Grant,
    Rate,
    ScopeStanding,
    Standing,
    Window,
    judge,
    judge_scopes,
    too_fast,
)
from dominion.rules.windows import SECONDS_A_DAY, day_end, day_of, month_of
from dominion.services.limits.posting import Posting


class Part(msgspec.Struct, frozen=True):
    """A standing besides the user's, and its windows at the time of the hold."""

    standing: ScopeStanding
    day: Window
    month: Window


class Hold(msgspec.Struct, eq=False):
    """What is set aside for one running request. `grant` is its worst case, `mark` belongs to posting."""

    id: str
    at: int
    standing: Standing
    day: Window
    month: Window
    grant: Grant
    mark: int
    record: HoldRecord
    others: list[Part] | None = None


class Leases(Protocol):
    """Sees to what this process may spend of limits that it shares."""

    def check(self, standings: Sequence[Standing], ask: Ask) -> None:
        """Called before each verdict. Raises when more must be leased first."""

    def adopt(self, standing: Standing) -> None:
        """Take over the limits of a standing that is new, or whose limits or windows have changed."""


class Admission:
    """The standings of all users who have called since the start, and what is set aside now, by request id."""

    def __init__(
        self,
        ledger: LedgerStore,
        posting: Posting,
        clock: Clock,
        rate_window: float,
        leases: Leases | None = None,
    ) -> None:
        self._ledger = ledger
        self._posting = posting
        self._clock = clock
        self._rate_window = rate_window
        self._leases = leases
        self._begun, self._begun_ms = 0.0, 0
        self._standings: dict[str, Standing] = {}
        self.holds: dict[str, Hold] = {}

    @property
    def running(self) -> int:
        """Requests that run now."""
        return len(self.holds)

    def known(self, user_id: str) -> Standing | None:
        """The standing of a user, without waiting; None when it must be loaded first."""
        return self._standings.get(user_id)

    async def standing(self, user: User) -> Standing:
        """The standing of a user, from the ledger on first use, with windows of now."""
        standing = self._standings.get(user.id)
        if standing is None:
            day = day_of(self.now())
            month = month_of(day)
            today, this_month = await self._ledger.totals(user.id, day, month)
            loaded = Standing(
                user.limits, window_of(day, today), window_of(month, this_month), Rate(), scope=f"user:{user.id}"
            )
            standing = self._standings.setdefault(user.id, loaded)
            if self._leases is not None and standing is loaded:
                self._leases.adopt(standing)
        self.turn(standing)
        return standing

    async def overall(self, user: User) -> Standing:
        """Where a user stands by all processes; what others hold, and used within the last second, may be missing."""
        own = await self.standing(user)
        if self._leases is None:
            return own
        await self._posting.flush()
        today, this_month = await self._ledger.totals(user.id, own.day.number, own.month.number)
        day, month = window_of(own.day.number, today), window_of(own.month.number, this_month)
        day.held_requests, day.held_tokens = own.day.held_requests, own.day.held_tokens
        month.held_spend = own.month.held_spend
        return Standing(own.told, day, month, own.rate, own.running, own.scope)

    def now(self) -> float:
        """Epoch seconds, never before the newest day that any window had: a clock that is set back neither gives a day
        again that was used up nor takes rows out of the window that they are counted in."""
        return max(self._clock.now(), self._begun)

    def users(self) -> list[str]:
        """Those who have a standing."""
        return list(self._standings)

    def change_limits(self, user_id: str, limits: Limits) -> None:
        """New limits hold from the next request on."""
        standing = self._standings.get(user_id)
        if standing is not None:
            standing.limits, standing.whole = limits, None
            if self._leases is not None:
                self._leases.adopt(standing)

    def hold(self, standing: Standing, ask: Ask, record: HoldRecord, others: Sequence[ScopeStanding] = ()) -> Hold:
        """Admit a request and set its worst case aside, with its user and in the `others` it belongs to.

        `record` describes it; its output cap is filled in here. Raises LimitExceeded, or StorageUnavailable when the
        hold cannot be recorded: then nothing is set aside.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        if now < self._begun:  # noqa: PLR1730 - as `now` has it, on the hot path
            now = self._begun
        if now >= standing.ends:
            self._turn(standing, now)
        if record.at < self._begun_ms:  # the clock was set back, or midnight came after the record was made
            record = msgspec.structs.replace(record, at=self._begun_ms)
        if self._leases is not None:
            self._leases.check([standing, *others], ask)
        standing.rate.roll(monotonic, self._rate_window)
        grant = judge(standing, ask, now=now, monotonic=monotonic, rate_window=self._rate_window)
        if others:
            for other in others:
                self._turn(other, now)
                other.rate.roll(monotonic, self._rate_window)
            grant = judge_scopes(others, ask, grant, now=now, monotonic=monotonic, rate_window=self._rate_window)
        if grant.output_cap * ask.choices != record.output_cap:
            cap, nano = grant.output_cap * ask.choices, min(record.likely_nano, grant.nano)
            record = msgspec.structs.replace(record, output_cap=cap, likely_nano=nano)
        mark = self._posting.open(record)
        day, month = standing.day, standing.month
        standing.rate.count += 1
        standing.running += 1
        day.held_requests += 1
        day.held_tokens += grant.tokens
        month.held_spend += grant.nano
        hold = Hold(record.id, record.at, standing, day, month, grant, mark, record)
        self.holds[record.id] = hold
        if others:
            hold.others = [set_aside(other, grant) for other in others]
        return hold

    def count(self, standing: Standing) -> None:
        """Count a request that costs nothing against the rate. Raises RateLimited."""
        now, monotonic, limit = self._clock.now(), self._clock.monotonic(), standing.limits.requests_per_minute
        standing.rate.roll(monotonic, self._rate_window)
        if limit is not None:
            wait = standing.rate.wait(limit, monotonic, self._rate_window)
            if wait > 0:
                raise too_fast(standing, wait, now)
        standing.rate.count += 1

    def settle(self, hold: Hold, row: UsageRow) -> None:
        """The truth replaces the hold. Call exactly once. Raises StorageUnavailable when the row cannot be recorded:
        then the answer must not end as a success."""
        day, month = hold.day, hold.month
        hold.standing.running -= 1
        del self.holds[hold.id]
        day.held_requests -= 1
        day.held_tokens -= hold.grant.tokens
        month.held_spend -= hold.grant.nano
        if row.outcome != Outcome.FAILED:
            day.requests += 1
            day.tokens += row.input_tokens + row.output_tokens
            month.spend += row.cost_nano
        if hold.others:
            for part in hold.others:
                give_back(part, hold.grant)
                if row.outcome != Outcome.FAILED:
                    add_row(part.day, part.month, row)
        self._posting.settle(row, hold.mark)

    def correct(self, row: UsageRow) -> None:
        """A correcting row was written to the ledger: the user's month follows, if it is this one. Where limits are
        leased, the ledger's windows say what is left, and the next lease knows."""
        standing = self._standings.get(row.user_id)
        month = month_of(day_of(row.at / 1000))
        if standing is not None and self._leases is None and standing.month.number == month:
            standing.month.spend += row.cost_nano

    def move(self, hold: Hold, away: str, to: ScopeStanding | None) -> None:
        """Another provider is asked: what was set aside with the scope `away` goes to the new one, if that has limits.

        Raises LimitExceeded when it has no room for all of it; then nothing has moved.
        """
        others = hold.others or []
        if to is not None and all(part.standing is not to for part in others):
            now, monotonic = self.now(), self._clock.monotonic()
            ask = worst_of(hold.grant)
            self._turn(to, now)
            if self._leases is not None:
                self._leases.check([to], ask)
            to.rate.roll(monotonic, self._rate_window)
            judge_scopes([to], ask, hold.grant, now=now, monotonic=monotonic, rate_window=self._rate_window)
            others = [*others, set_aside(to, hold.grant)]
        for part in others:
            if part.standing.scope == away:
                give_back(part, hold.grant)
        hold.others = [part for part in others if part.standing.scope != away]

    def release(self, request_id: str) -> Hold | None:
        """Give back the tokens and the money that are set aside for a request that may never end; the request runs on,
        and what it used is charged when it ends. None: no such request runs."""
        hold = self.holds.get(request_id)
        if hold is not None:
            nothing = Grant(hold.grant.output_cap, 0, 0, hold.grant.lowered)
            hold.day.held_tokens -= hold.grant.tokens
            hold.month.held_spend -= hold.grant.nano
            for part in hold.others or ():
                part.day.held_tokens -= hold.grant.tokens
                part.day.held_spend -= hold.grant.nano
                part.month.held_spend -= hold.grant.nano
            hold.grant = nothing
        return hold

    def turn(self, standing: Standing) -> None:
        """Begin the windows of now, if it is time."""
        self._turn(standing, self.now())

    def _turn(self, standing: Standing, now: float) -> None:
        """Begin new windows when the UTC day or month has changed; holds keep theirs."""
        if now < standing.ends:
            return
        day = day_of(now)
        if day * SECONDS_A_DAY > self._begun:
            self._begun = float(day * SECONDS_A_DAY)
            self._begun_ms = day * SECONDS_A_DAY * 1000
        if day > standing.day.number:
            standing.day = Window(day)
            month = month_of(day)
            if month > standing.month.number:
                standing.month = Window(month)
            if self._leases is not None:
                self._leases.adopt(standing)
        standing.ends = day_end(max(day, standing.day.number))


def window_of(number: int, totals: Totals) -> Window:
    """A window that begins with what is settled."""
    return Window(number, requests=totals.requests, tokens=totals.tokens, spend=totals.spend_nano)


def set_aside(standing: ScopeStanding, grant: Grant) -> Part:
    """Hold a grant in a standing besides the user's."""
    day, month = standing.day, standing.month
    standing.rate.count += 1
    standing.running += 1
    day.held_requests += 1
    day.held_tokens += grant.tokens
    day.held_spend += grant.nano
    month.held_spend += grant.nano
    return Part(standing, day, month)


def give_back(part: Part, grant: Grant) -> None:
    """The end of `set_aside`."""
    part.standing.running -= 1
    part.day.held_requests -= 1
    part.day.held_tokens -= grant.tokens
    part.day.held_spend -= grant.nano
    part.month.held_spend -= grant.nano


def add_row(day: Window, month: Window, row: UsageRow) -> None:
    """Count what a row used in the windows of a standing besides the user's."""
    day.requests += 1
    day.tokens += row.input_tokens + row.output_tokens
    day.spend += row.cost_nano
    month.spend += row.cost_nano


def worst_of(grant: Grant) -> Ask:
    """An ask for exactly what was granted, which no verdict can lower."""
    return Ask(grant.tokens, 0, 1, Price(input=0, output=0, request=grant.nano))


def soft_cap_passed(hold: Hold) -> str:
    """A sentence when a run has used more than its soft cap, else ""."""
    for part in hold.others or ():
        soft, used = part.standing.soft_tokens, part.day.tokens + part.day.held_tokens
        if soft is not None and used > soft:
            return f"{part.standing.scope.replace(':', ' ', 1)} has used {used} tokens, its soft cap is {soft}"
    return ""
