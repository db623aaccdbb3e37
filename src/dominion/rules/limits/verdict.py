"""May this request run, and how much must be set aside for it? Pure: reads a standing, changes nothing.

The law of this file: what is settled plus what is held never exceeds a limit at the moment of a grant. A hold is the
worst case of its request, so the truth that replaces it later can only be less.
"""

from collections.abc import Iterable

import msgspec

from dominion.domain.allowances import ScopeLimits
from dominion.domain.errors import LimitExceeded, QuotaExceeded, RateLimited, TooManyConcurrent
from dominion.domain.people import Limits
from dominion.domain.usage import Price, usd
from dominion.rules.prices.pricing import affordable_output, worst_case
from dominion.rules.windows import day_end, iso, month_end

SHORTEST_ANSWER = 16
"""Output tokens below which lowering the cap makes no sense (unless the caller asked for less)."""
RUNS_NEVER_RESET = 86_400.0
"""Seconds that a refused run is told to wait: only the operator can help it."""


class Window(msgspec.Struct):
    """One UTC day or month of one scope: what is settled and what is held. Spend in nano-dollars.

    Holds keep their window, so that a late settlement touches the window of its admission and no other.
    """

    number: int
    requests: int = 0
    tokens: int = 0
    spend: int = 0
    held_requests: int = 0
    held_tokens: int = 0
    held_spend: int = 0


class Rate(msgspec.Struct):
    """A sliding window: the count of the running window and of the one before it. Times are monotonic seconds."""

    start: float = 0.0
    count: int = 0
    before: int = 0

    def roll(self, now: float, length: float) -> None:
        """Move on to the window that `now` lies in."""
        passed = now - self.start
        if passed >= length:
            self.before = self.count if passed < 2 * length else 0
            self.count = 0
            self.start = now - passed % length if self.start else now

    def wait(self, limit: int, now: float, length: float) -> float:
        """Seconds until one more event fits; 0.0 when it fits now. Call `roll` first."""
        if limit == 0:
            return length
        ends = self.start + length - now
        if self.count >= limit:
            return ends + (1 - (limit - 1) / self.count) * length
        if self.count + 1 + self.before * (ends / length) <= limit:
            return 0.0
        return ends - (limit - self.count - 1) / self.before * length


class Standing(msgspec.Struct, eq=False):
    """Where one scope stands now: limits, windows, rate and running requests. Owned by `services.admission`.

    `limits` are those of this process: where several share a database, what it has leased; then `whole` holds the
    limits of all together. `ends`: epoch seconds from which the windows may no longer be those of now.
    """

    limits: Limits
    day: Window
    month: Window
    rate: Rate
    running: int = 0
    scope: str = ""
    whole: Limits | None = None
    ends: float = 0.0

    @property
    def told(self) -> Limits:
        """The limits as the operator has set them."""
        return self.whole or self.limits


class ScopeStanding(Standing):
    """The same for a key, a provider, a customer or a run. A run's `day` is all its time, and its cap a daily one of
    tokens; its `soft_tokens` are those above which answers carry a warning."""

    limits: ScopeLimits
    whole: ScopeLimits | None = None
    soft_tokens: int | None = None


class Ask(msgspec.Struct, frozen=True):
    """What a request may need: at most `input_bound` tokens, and for each choice `output_cap` (or the default).

    `price` None: nobody knows the price; then no spend is held.
    """

    input_bound: int
    output_cap: int
    choices: int
    price: Price | None

    def nano(self, output_cap: int) -> int:
        """What it costs at worst with this output cap."""
        return 0 if self.price is None else worst_case(self.input_bound, output_cap, self.price, self.choices)


class Grant(msgspec.Struct, frozen=True):
    """Admitted: the output cap per choice to send upstream, and what to set aside."""

    output_cap: int
    tokens: int
    nano: int
    lowered: bool


def judge(standing: Standing, ask: Ask, *, now: float, monotonic: float, rate_window: float) -> Grant:
    """The verdict over every limit of one scope at once.

    `now` epoch seconds, `monotonic` and `rate_window` seconds. Raises QuotaExceeded, RateLimited or TooManyConcurrent.
    The windows of `standing` must be those of `now`, and its rate rolled.
    """
    limits = standing.limits
    if limits.concurrent_requests is not None and standing.running >= limits.concurrent_requests:
        raise too_many(standing)
    if limits.requests_per_minute is not None:
        wait = standing.rate.wait(limits.requests_per_minute, monotonic, rate_window)
        if wait > 0:
            raise too_fast(standing, wait, now)
    used = standing.day.requests + standing.day.held_requests
    if limits.daily_requests is not None and used >= limits.daily_requests:
        raise quota_exceeded(standing, "daily_requests", now)
    return _output_that_fits(standing, ask, now)


def _output_that_fits(standing: Standing, ask: Ask, now: float) -> Grant:
    """Lower the output cap to what tokens and spend allow. Raises QuotaExceeded when not even a short answer fits."""
    limits, cap = standing.limits, ask.output_cap
    shortest = min(ask.output_cap, SHORTEST_ANSWER)
    if limits.daily_tokens is not None:
        left = limits.daily_tokens - standing.day.tokens - standing.day.held_tokens
        cap = min(cap, (left - ask.input_bound) // ask.choices)
        if cap < shortest or left <= 0:
            raise quota_exceeded(standing, "daily_tokens", now, ask.input_bound + shortest * ask.choices)
    if ask.price is None:
        return Grant(cap, ask.input_bound + cap * ask.choices, 0, lowered=cap < ask.output_cap)
    nano = worst_case(ask.input_bound, cap, ask.price, ask.choices)
    if limits.monthly_spend_nano is not None and nano:  # what costs nothing needs no money
        nano_left = limits.monthly_spend_nano - standing.month.spend - standing.month.held_spend
        if nano > nano_left:
            cap, nano = _affordable(nano_left, ask, cap)
            if cap < shortest or nano > nano_left:  # a cap of 0 may be wanted, and the prompt alone too dear
                raise quota_exceeded(standing, "monthly_spend_cap_usd", now, ask.nano(shortest))
    return Grant(cap, ask.input_bound + cap * ask.choices, nano, lowered=cap < ask.output_cap)


def _affordable(nano_left: int, ask: Ask, cap: int) -> tuple[int, int]:
    """The output cap that `nano_left` pays for, and what it costs at worst."""
    assert ask.price is not None  # noqa: S101 - the callers have looked
    cap = min(cap, affordable_output(nano_left, ask.input_bound, ask.price, ask.choices))
    return cap, ask.nano(cap)


def judge_scopes(
    scopes: Iterable[ScopeStanding], ask: Ask, grant: Grant, *, now: float, monotonic: float, rate_window: float
) -> Grant:
    """The verdict of other scopes over a request that a user's own limits grant: the smallest cap of all.

    One pass is enough, as a cap that was lowered for one scope fits all before it. Raises as `judge`.
    """
    wanted = ask.output_cap
    for standing in scopes:
        ask = Ask(ask.input_bound, grant.output_cap, ask.choices, ask.price)
        grant = judge(standing, ask, now=now, monotonic=monotonic, rate_window=rate_window)
        daily = standing.limits.daily_spend_nano
        if daily is not None and grant.nano and daily - standing.day.spend - standing.day.held_spend < grant.nano:
            left = daily - standing.day.spend - standing.day.held_spend
            cap, nano = _affordable(left, ask, grant.output_cap)
            shortest = min(wanted, SHORTEST_ANSWER)
            if cap < shortest or nano > left:
                raise quota_exceeded(standing, "daily_spend_cap_usd", now, ask.nano(shortest))
            grant = Grant(cap, ask.input_bound + cap * ask.choices, nano, lowered=True)
    return Grant(grant.output_cap, grant.tokens, grant.nano, lowered=grant.output_cap < wanted)


def caps_spend(standing: ScopeStanding) -> bool:
    """Whether the price of a request must be known."""
    return standing.limits.daily_spend_nano is not None or standing.limits.monthly_spend_nano is not None


def caps_tokens(standing: ScopeStanding) -> bool:
    """Whether the length of an answer must be bounded."""
    return standing.limits.daily_tokens is not None


def rate_exceeded(kind: str, limit: int, rate: Rate, wait: float, now: float) -> LimitExceeded:
    """The refusal of a rate; `wait` seconds, `now` epoch seconds."""
    return RateLimited(
        "Rate limit exceeded",
        kind=kind,
        limit=limit,
        used=min(limit, rate.count + rate.before),
        resets_at=iso(now + wait + 0.999),
        retry_after=wait,
    )


def too_fast(standing: Standing, wait: float, now: float) -> LimitExceeded:
    """The refusal of the rate of one scope."""
    limit = standing.told.requests_per_minute or 0
    return _of_scope(standing, rate_exceeded("requests_per_minute", limit, standing.rate, wait, now))


def too_many(standing: Standing) -> LimitExceeded:
    """The refusal of one more request at the same time."""
    return _of_scope(
        standing,
        TooManyConcurrent(
            "Concurrent request limit exceeded",
            kind="concurrent_requests",
            limit=standing.told.concurrent_requests or 0,
            used=standing.running,
            resets_at=None,
            retry_after=1,
        ),
    )


def quota_exceeded(standing: Standing, kind: str, now: float, needed: int = 0) -> LimitExceeded:
    """The refusal of a daily or monthly quota, as document 000 prints it; of other scopes than users it names them.

    `needed`: the least that must be left for this request, in the unit of the quota.
    """
    limits, day, month = standing.told, standing.day, standing.month
    ends = month_end(month.number) if kind == "monthly_spend_cap_usd" else day_end(day.number)
    daily_spend = limits.daily_spend_nano if isinstance(limits, ScopeLimits) else None
    message, limit, used = {
        "daily_requests": ("Daily request limit exceeded", limits.daily_requests, day.requests + day.held_requests),
        "daily_tokens": ("Daily token limit exceeded", limits.daily_tokens, day.tokens + day.held_tokens),
        "daily_spend_cap_usd": ("Daily spend cap exceeded", daily_spend, day.spend + day.held_spend),
        "monthly_spend_cap_usd": (
            "Monthly spend cap exceeded",
            limits.monthly_spend_nano,
            month.spend + month.held_spend,
        ),
    }[kind]
    limit = limit or 0
    is_run = standing.scope.startswith("run:")
    show = usd if kind.endswith("_usd") else int
    return _of_scope(
        standing,
        QuotaExceeded(
            "Token limit exceeded" if is_run else message,
            kind="run_tokens" if is_run else kind,
            limit=show(limit),
            used=show(used),
            resets_at=None if is_run else iso(ends),
            retry_after=RUNS_NEVER_RESET if is_run else max(1, ends - now),
            action=_too_large(kind, needed, limit, used, resets=not is_run) if used < limit else None,
        ),
    )


def _too_large(kind: str, needed: int, limit: int, used: int, *, resets: bool) -> str | None:
    """What to do about a request that needs more than is left of a quota; None: it needs not."""
    if needed <= limit - used:
        return None
    amount = f"${usd(needed)}" if kind.endswith("_usd") else f"{needed} tokens"
    more_than, way = "what is left of the limit", "wait until the quota resets"
    if needed > limit:
        more_than = "the whole limit"
    if needed > limit or not resets:
        way = "ask the operator to raise it"
    return f"This request may use {amount}, more than {more_than}: shorten it, or {way}."


def _of_scope(standing: Standing, error: LimitExceeded) -> LimitExceeded:
    """The refusal, naming its scope where that is not the user."""
    kind, _, name = standing.scope.partition(":")
    if name and kind != "user":
        error.scope = standing.scope
        error.message += f" for {kind} {name}"
        error.args = (error.message,)
    return error
