"""What one process holds of a shared limit, and what it must ask for. Pure arithmetic over standings.

A share counts from its beginning: `granted` is all that was ever granted less what was returned, `base` is what was
settled before. So the process may settle and hold up to base + granted, and never compares clocks or totals.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from dominion.domain.allowances import NOTHING, Amount, Report, ScopeLimits, Taken, Want, WindowKey, scopes_of
from dominion.domain.errors import LimitExceeded
from dominion.domain.people import Limits
from dominion.domain.records import Outcome, UsageRow
from dominion.domain.usage import usd
from dominion.rules.limits.verdict import Standing, Window
from dominion.rules.windows import day_of, month_of

WITHOUT_END = 1 << 62
_NUMBERS = {
    "daily_requests": ("d", "requests"),
    "daily_tokens": ("d", "tokens"),
    "daily_spend_cap_usd": ("d", "spend_nano"),
    "monthly_spend_cap_usd": ("m", "spend_nano"),
    "run_tokens": ("r", "tokens"),
    "concurrent_requests": ("c", "requests"),
}
"""The window and the quantity of each kind of refusal."""


class Share(msgspec.Struct, eq=False):
    """One window of one standing. `window` None: what runs at the same time. `leased`: the database knows of it.

    `said` is the last report that arrived, `before` what was used at the last beat.
    """

    key: WindowKey
    standing: Standing
    window: Window | None
    base: Amount
    granted: Amount = NOTHING
    leased: bool = False
    said: Report | None = None
    before: Amount | None = None

    @property
    def settled(self) -> Amount:
        """All that the window knows as settled."""
        window = self.window
        return NOTHING if window is None else Amount(window.requests, window.tokens, window.spend)

    @property
    def used(self) -> Amount:
        """What is settled since the beginning and what is held."""
        if self.window is None:
            return Amount(self.standing.running)
        held = Amount(self.window.held_requests, self.window.held_tokens, self.window.held_spend)
        return self.settled + held - self.base

    @property
    def held(self) -> bool:
        """Whether requests run that will settle here."""
        return bool(
            self.standing.running if self.window is None else self.window.held_requests or self.window.held_spend
        )

    @property
    def idle(self) -> bool:
        """Whether nothing of it is left to spend."""
        return not self.leased or self.used.covers(self.granted)

    def give_up(self) -> None:
        """Keep only what is used."""
        self.granted = self.used.atleast(NOTHING).atmost(self.granted)

    def begin_again(self, unposted: Iterable[UsageRow]) -> bool:
        """From nothing: what is posted counts no more, `unposted` rows must be leased. Whether that changes it."""
        before = (self.base, self.granted)
        self.base = self.settled
        for row in unposted:
            if row.outcome != Outcome.FAILED and self.key in windows_of_row(row):
                self.base -= Amount(1, row.input_tokens + row.output_tokens, row.cost_nano)
        self.granted, self.leased, self.said = NOTHING, False, None
        return before != (self.base, self.granted)

    def report(self) -> Report:
        """What the database is told."""
        return Report(self.key, self.granted, self.used.atleast(NOTHING))


def windows_of_row(row: UsageRow) -> set[WindowKey]:
    """Every window that a row is added to."""
    day = day_of(row.at // 1000)
    return {
        window
        for scope in scopes_of(row.user_id, row.key_id, row.provider, row.customer, row.run)
        for window in ((scope, "d", day), (scope, "m", month_of(day)), (scope, "r", 0))
    }


def keys_of(standing: Standing) -> tuple[WindowKey, WindowKey, WindowKey]:
    """Its windows: day (or all the time of a run), month, and what runs at the same time."""
    scope = standing.scope
    first = (scope, "r", 0) if scope.startswith("run:") else (scope, "d", standing.day.number)
    return first, (scope, "m", standing.month.number), (scope, "c", 0)


def shares_of(standing: Standing) -> list[Share]:
    """New shares of its windows, which begin with what is settled."""
    windows = (standing.day, standing.month, None)
    shares = [Share(key, standing, window, NOTHING) for key, window in zip(keys_of(standing), windows, strict=True)]
    for share in shares:
        share.base = share.settled
    return shares


def leased_limits(standing: Standing, shares: Mapping[WindowKey, Share], *, rate: int | None) -> Limits:
    """The limits of this process alone: what is leased, and never more than the whole. `rate` requests a minute."""
    whole = standing.told
    day, month, running = (shares[key] for key in keys_of(standing))

    def leased(limit: int | None, share: Share, name: str) -> int | None:
        return None if limit is None else min(limit, getattr(share.base, name) + getattr(share.granted, name))

    limits = replace(
        whole,
        daily_requests=leased(whole.daily_requests, day, "requests"),
        daily_tokens=leased(whole.daily_tokens, day, "tokens"),
        monthly_spend_nano=leased(whole.monthly_spend_nano, month, "spend_nano"),
        concurrent_requests=leased(whole.concurrent_requests, running, "requests"),
        requests_per_minute=rate,
    )
    if isinstance(whole, ScopeLimits):
        limits = replace(limits, daily_spend_nano=leased(whole.daily_spend_nano, day, "spend_nano"))
    return limits


def fits(standing: Standing, tokens: int, nano: int) -> bool:
    """Whether a request that may use so much can be granted in full: then `wants_of` has nothing to say."""
    limits, day, month = standing.limits, standing.day, standing.month
    if limits.concurrent_requests is not None and standing.running >= limits.concurrent_requests:
        return False
    if limits.daily_requests is not None and day.requests + day.held_requests >= limits.daily_requests:
        return False
    if limits.daily_tokens is not None and day.tokens + day.held_tokens + tokens > limits.daily_tokens:
        return False
    if limits.monthly_spend_nano is not None and month.spend + month.held_spend + nano > limits.monthly_spend_nano:
        return False
    daily_spend = _daily_spend(limits)
    return daily_spend is None or day.spend + day.held_spend + nano <= daily_spend


def wants_of(standing: Standing, full: Amount) -> list[Want]:
    """What must be leased before a request that may use `full` can be granted in full; nothing when it can."""
    whole, limits, day, month = standing.told, standing.limits, standing.day, standing.month
    of_day, of_month, at_once = keys_of(standing)

    def short(limit: int | None, used: int, more: int) -> int:
        return 0 if limit is None else max(0, used + more - limit)

    daily_spend = short(_daily_spend(limits), day.spend + day.held_spend, full.spend_nano)
    need = Amount(
        short(limits.daily_requests, day.requests + day.held_requests, full.requests),
        short(limits.daily_tokens, day.tokens + day.held_tokens, full.tokens),
        daily_spend,
    )
    monthly = Amount(0, 0, short(limits.monthly_spend_nano, month.spend + month.held_spend, full.spend_nano))
    places = Amount(short(limits.concurrent_requests, standing.running, full.requests))
    wants = (
        Want(of_day, _limit(whole.daily_requests, whole.daily_tokens, _daily_spend(whole)), need),
        Want(of_month, _limit(None, None, whole.monthly_spend_nano), monthly),
        Want(at_once, _limit(whole.concurrent_requests, None, None), places),
    )
    return [want for want in wants if want.need]


def is_limited(limits: Limits) -> bool:
    """Whether anything of them is leased."""
    return any(
        limit is not None
        for limit in (
            limits.daily_requests,
            limits.daily_tokens,
            limits.monthly_spend_nano,
            limits.concurrent_requests,
            _daily_spend(limits),
        )
    )


def _daily_spend(limits: Limits) -> int | None:
    return limits.daily_spend_nano if isinstance(limits, ScopeLimits) else None


def _limit(*limits: int | None) -> Amount:
    return Amount(*(WITHOUT_END if limit is None else limit for limit in limits))


def counted(kind: str) -> tuple[str, str]:
    """What a kind of refusal counts: the kind of window, and "requests", "tokens" or "spend_nano" in it; both are empty
    where nothing is leased (rates)."""
    return _NUMBERS.get(kind, ("", ""))


def tell_numbers(error: LimitExceeded, taken: Mapping[WindowKey, Taken], shares: Mapping[WindowKey, Share]) -> None:
    """Complete a refusal with what all processes together have used and set aside; what this one has leased and does
    not use is neither."""
    kind, name = counted(error.kind)
    for key, answer in taken.items():
        scope, window, _ = key
        if window == kind and scope == (error.scope or scope) and (error.scope or scope.startswith("user:")):
            share = shares.get(key)
            spare = NOTHING if share is None else (share.granted - share.used).atleast(NOTHING)
            used = getattr(answer.used - spare, name)
            error.used = usd(used) if name == "spend_nano" else used
