"""Who may run now, and what is set aside for it. Everything on the hot path here is synchronous.

One process owns all standings, so a verdict and its hold happen without anything in between. Settling is synchronous
too: a cancelled request settles in a plain `finally`, where no await can be lost.
"""

import msgspec

from dominion.domain.contracts import Clock
from dominion.domain.people import Limits, User
from dominion.domain.records import HoldRecord, Outcome, Totals, UsageRow
from dominion.domain.stores import LedgerStore
from dominion.rules.limits import Ask, Grant, Rate, Standing, Window, judge, rate_exceeded
from dominion.rules.windows import day_of, month_of
from dominion.services.posting import Posting


class Hold(msgspec.Struct, eq=False):
    """What is set aside for one running request. `nano` and `tokens` are its worst case, `mark` belongs to posting."""

    id: str
    at: int
    standing: Standing
    day: Window
    month: Window
    grant: Grant
    mark: int


class Admission:
    """The standings of all users who have called since the start."""

    def __init__(self, ledger: LedgerStore, posting: Posting, clock: Clock, rate_window: float) -> None:
        self._ledger = ledger
        self._posting = posting
        self._clock = clock
        self._rate_window = rate_window
        self._standings: dict[str, Standing] = {}
        self.running = 0

    def known(self, user_id: str) -> Standing | None:
        """The standing of a user, without waiting; None when it must be loaded first."""
        return self._standings.get(user_id)

    async def standing(self, user: User) -> Standing:
        """The standing of a user, from the ledger on first use, with windows of now."""
        standing = self._standings.get(user.id)
        if standing is None:
            day = day_of(self._clock.now())
            month = month_of(day)
            today, this_month = await self._ledger.totals(user.id, day, month)
            loaded = Standing(user.limits, _window(day, today), _window(month, this_month), Rate())
            standing = self._standings.setdefault(user.id, loaded)
        self._turn(standing, self._clock.now())
        return standing

    def change_limits(self, user_id: str, limits: Limits) -> None:
        """New limits hold from the next request on."""
        standing = self._standings.get(user_id)
        if standing is not None:
            standing.limits = limits

    def hold(self, standing: Standing, ask: Ask, record: HoldRecord) -> Hold:
        """Admit a request and set its worst case aside.

        `record` describes it; its output cap is filled in here. Raises LimitExceeded, or StorageUnavailable when the
        hold cannot be recorded: then nothing is set aside.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        self._turn(standing, now)
        standing.rate.roll(monotonic, self._rate_window)
        grant = judge(standing, ask, now=now, monotonic=monotonic, rate_window=self._rate_window)
        if grant.output_cap * ask.choices != record.output_cap:
            cap, nano = grant.output_cap * ask.choices, min(record.likely_nano, grant.nano)
            record = msgspec.structs.replace(record, output_cap=cap, likely_nano=nano)
        mark = self._posting.open(record)
        day, month = standing.day, standing.month
        standing.rate.count += 1
        standing.running += 1
        self.running += 1
        day.held_requests += 1
        day.held_tokens += grant.tokens
        month.held_spend += grant.nano
        return Hold(record.id, record.at, standing, day, month, grant, mark)

    def count(self, standing: Standing) -> None:
        """Count a request that costs nothing against the rate. Raises RateLimited."""
        now, monotonic, limit = self._clock.now(), self._clock.monotonic(), standing.limits.requests_per_minute
        standing.rate.roll(monotonic, self._rate_window)
        if limit is not None:
            wait = standing.rate.wait(limit, monotonic, self._rate_window)
            if wait > 0:
                raise rate_exceeded("requests_per_minute", limit, standing.rate, wait, now)
        standing.rate.count += 1

    def settle(self, hold: Hold, row: UsageRow) -> None:
        """The truth replaces the hold. Call exactly once. Raises StorageUnavailable when the row cannot be recorded:
        then the answer must not end as a success."""
        day, month = hold.day, hold.month
        hold.standing.running -= 1
        self.running -= 1
        day.held_requests -= 1
        day.held_tokens -= hold.grant.tokens
        month.held_spend -= hold.grant.nano
        if row.outcome != Outcome.FAILED:
            day.requests += 1
            day.tokens += row.input_tokens + row.output_tokens
            month.spend += row.cost_nano
        self._posting.settle(row, hold.mark)

    def _turn(self, standing: Standing, now: float) -> None:
        """Begin new windows when the UTC day or month has changed; holds keep theirs. Never turns back: a clock that is
        set back must not give a used-up day again."""
        day = day_of(now)
        if day > standing.day.number:
            standing.day = Window(day)
            month = month_of(day)
            if month > standing.month.number:
                standing.month = Window(month)


def _window(number: int, totals: Totals) -> Window:
    return Window(number, requests=totals.requests, tokens=totals.tokens, spend=totals.spend_nano)
