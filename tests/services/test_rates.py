"""Rates of several processes while their shared count comes and goes."""

import pytest

from dominion.domain.errors import RateLimited
from dominion.domain.people import Limits
from dominion.rules.limits.verdict import Rate, Standing, Window
from dominion.services.limits import rates as rates_module
from dominion.services.limits.rates import SharedRates
from tests.services.clocks import HandClock

LIMIT, WINDOW = 60, 60.0


class Server:
    """A count that all processes share, while it is there. One that `forgets` knows nothing when it comes back."""

    def __init__(self, clock: HandClock, *, forgets: bool) -> None:
        self._clock = clock
        self._forgets = forgets
        self._rate = Rate()
        self.there = True

    async def take(self, scope: str, limit: int, window: float) -> float | None:  # noqa: ARG002 - one scope
        if not self.there:
            self._rate = Rate() if self._forgets else self._rate
            return None
        now = self._clock.monotonic()
        self._rate.roll(now, window)
        wait = self._rate.wait(limit, now, window)
        self._rate.count += wait == 0.0
        return wait


async def let_through(clock: HandClock, away: range, *, forgets: bool) -> list[float]:
    """When requests were let through, of 90 a minute at each of two processes for ten minutes."""
    server, passed = Server(clock, forgets=forgets), []
    limits = Limits(requests_per_minute=LIMIT)
    sides = [(SharedRates(server, clock, WINDOW), Standing(limits, Window(0), Window(0), Rate())) for _ in range(2)]
    for second in range(600):
        server.there = second not in away
        clock.move(1.0)
        for number in range(3):
            rates, standing = sides[number % 2]
            try:
                await rates.ask(standing, lambda limit: limit // 2)
            except RateLimited:
                continue
            standing.rate.roll(clock.monotonic(), WINDOW)
            standing.rate.count += 1  # as admission does
            passed.append(clock.monotonic())
    return passed


def busiest(passed: list[float]) -> int:
    return max(sum(begin <= at < begin + WINDOW for at in passed) for begin in passed)


@pytest.mark.parametrize(
    ("away", "forgets"),
    [
        (range(0), False),
        (range(90, 300), True),
        (range(90, 300), False),
        (range(60, 130), True),
        (range(88, 92), False),
    ],
)
async def test_a_rate_holds_before_while_and_after_the_shared_count_is_away(away: range, *, forgets: bool) -> None:
    passed = await let_through(HandClock(), away, forgets=forgets)
    assert busiest(passed) <= LIMIT * 1.1
    assert len(passed) > LIMIT * 7  # and is used


async def test_without_wariness_too_many_pass_when_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_module, "FORGIVEN", float("inf"))
    assert busiest(await let_through(HandClock(), range(90, 300), forgets=True)) > LIMIT * 1.3
