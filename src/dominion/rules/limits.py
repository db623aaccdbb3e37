"""May this request run, and how much must be set aside for it? Pure: reads a standing, changes nothing.

The law of this file: what is settled plus what is held never exceeds a limit at the moment of a grant. A hold is the
worst case of its request, so the truth that replaces it later can only be less.
"""

import msgspec

from dominion.domain.errors import LimitExceeded, QuotaExceeded, RateLimited, TooManyConcurrent
from dominion.domain.people import Limits
from dominion.domain.usage import Price, usd
from dominion.rules.pricing import affordable_output, worst_case
from dominion.rules.windows import day_end, iso, month_end

SHORTEST_ANSWER = 16
"""Output tokens below which lowering the cap makes no sense (unless the caller asked for less)."""


class Window(msgspec.Struct):
    """One UTC day or month of one user: what is settled and what is held. Spend in nano-dollars.

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


class Standing(msgspec.Struct):
    """Where one user stands now: limits, windows, rate and running requests. Owned by `services.admission`."""

    limits: Limits
    day: Window
    month: Window
    rate: Rate
    running: int = 0


class Ask(msgspec.Struct, frozen=True):
    """What a request may need: at most `input_bound` tokens, and for each choice `output_cap` (or the default).

    `price` None: nobody knows the price; then no spend is held.
    """

    input_bound: int
    output_cap: int
    choices: int
    price: Price | None


class Grant(msgspec.Struct, frozen=True):
    """Admitted: the output cap per choice to send upstream, and what to set aside."""

    output_cap: int
    tokens: int
    nano: int
    lowered: bool


def judge(standing: Standing, ask: Ask, *, now: float, monotonic: float, rate_window: float) -> Grant:
    """The verdict over every limit of one user at once.

    `now` epoch seconds, `monotonic` and `rate_window` seconds. Raises QuotaExceeded, RateLimited or TooManyConcurrent.
    The windows of `standing` must be those of `now`, and its rate rolled.
    """
    limits = standing.limits
    if limits.concurrent_requests is not None and standing.running >= limits.concurrent_requests:
        raise TooManyConcurrent(
            "Concurrent request limit exceeded",
            kind="concurrent_requests",
            limit=limits.concurrent_requests,
            used=standing.running,
            resets_at=None,
            retry_after=1,
        )
    if limits.requests_per_minute is not None:
        wait = standing.rate.wait(limits.requests_per_minute, monotonic, rate_window)
        if wait > 0:
            raise rate_exceeded("requests_per_minute", limits.requests_per_minute, standing.rate, wait, now)
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
            raise quota_exceeded(standing, "daily_tokens", now)
    if ask.price is None:
        return Grant(cap, ask.input_bound + cap * ask.choices, 0, lowered=cap < ask.output_cap)
    nano = worst_case(ask.input_bound, cap, ask.price, ask.choices)
    if limits.monthly_spend_nano is not None:
        nano_left = limits.monthly_spend_nano - standing.month.spend - standing.month.held_spend
        if nano > nano_left:
            cap = min(cap, affordable_output(nano_left, ask.input_bound, ask.price, ask.choices))
            nano = worst_case(ask.input_bound, cap, ask.price, ask.choices)
            if cap < shortest or nano > nano_left:  # a cap of 0 may be wanted, and the prompt alone too dear
                raise quota_exceeded(standing, "monthly_spend_cap_usd", now)
    return Grant(cap, ask.input_bound + cap * ask.choices, nano, lowered=cap < ask.output_cap)


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


def quota_exceeded(standing: Standing, kind: str, now: float) -> LimitExceeded:
    """The refusal of a daily or monthly quota, as document 000 prints it."""
    limits, day, month = standing.limits, standing.day, standing.month
    ends = month_end(month.number) if kind == "monthly_spend_cap_usd" else day_end(day.number)
    refusals: dict[str, tuple[str, int | str | None, int | str]] = {
        "daily_requests": ("Daily request limit exceeded", limits.daily_requests, day.requests + day.held_requests),
        "daily_tokens": ("Daily token limit exceeded", limits.daily_tokens, day.tokens + day.held_tokens),
        "monthly_spend_cap_usd": (
            "Monthly spend cap exceeded",
            usd(limits.monthly_spend_nano or 0),
            usd(month.spend + month.held_spend),
        ),
    }
    message, limit, used = refusals[kind]
    return QuotaExceeded(
        message,
        kind=kind,
        limit=limit if limit is not None else 0,
        used=used,
        resets_at=iso(ends),
        retry_after=max(1, ends - now),
    )
