"""Requests per minute that several processes count together, and what each lets through while it must count alone."""

from collections.abc import Callable
from math import inf

from dominion.domain.contracts import Clock
from dominion.domain.stores import Rates
from dominion.rules.limits.verdict import Standing, too_fast

FORGIVEN = 0.1
"""Part of a window for which the shared count may be away without consequences: not more can be missing from it."""


class SharedRates:
    """Belongs to one process. `window` in seconds."""

    def __init__(self, rates: Rates, clock: Clock, window: float) -> None:
        self._rates = rates
        self._clock = clock
        self._window = window
        self._gone, self._wary = inf, -inf

    async def ask(self, standing: Standing, part: Callable[[int], int]) -> None:
        """Count one request. Raises RateLimited.

        While the shared count is away, each process holds to its part of the limit; and for one window longer, as what
        was let through meanwhile is missing from the shared count.
        """
        limit = standing.told.requests_per_minute
        if limit is None:
            return
        wait = await self._rates.take(standing.scope, limit, self._window)
        now = self._clock.monotonic()
        if wait is None:
            self._gone = min(self._gone, now)
        else:
            if now - self._gone > FORGIVEN * self._window:
                self._wary = now + self._window
            self._gone = inf
        if wait is None or now < self._wary:
            standing.rate.roll(now, self._window)
            wait = max(wait or 0.0, standing.rate.wait(part(limit), now, self._window))
        if wait > 0:
            raise too_fast(standing, wait, self._clock.now())
