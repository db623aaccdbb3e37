"""Guards before any work is done: requests per IP, and the admin token with a brake on guessing."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from hashlib import blake2b

from dominion.domain.contracts import Clock
from dominion.domain.errors import Unauthenticated
from dominion.rules.limits.verdict import Rate, rate_exceeded

LOG = logging.getLogger("dominion.guard")
REMEMBERED = 20_000
"""Addresses kept in memory; the oldest is forgotten first."""
SLOWEST = 2.0
FORGIVEN = 300.0


class IpGuard:
    """A limit on the requests of one address. `limit` None or `window` seconds as the settings say."""

    def __init__(self, limit: int | None, window: float, clock: Clock) -> None:
        self._limit = limit
        self.limits = limit is not None
        self._window = window
        self._clock = clock
        self._rates: dict[str, Rate] = {}

    def check(self, address: str) -> None:
        """Count one request. Raises RateLimited."""
        if self._limit is None:
            return
        rate = self._rates.get(address)
        if rate is None:
            while len(self._rates) >= REMEMBERED:
                del self._rates[next(iter(self._rates))]
            rate = self._rates[address] = Rate()
        now = self._clock.monotonic()
        rate.roll(now, self._window)
        wait = rate.wait(self._limit, now, self._window)
        if wait > 0:
            raise rate_exceeded("requests_per_minute_by_ip", self._limit, rate, wait, self._clock.now())
        rate.count += 1


class AdminGate:
    """Compares admin tokens in constant time; each wrong one makes the next answer to that address slower."""

    def __init__(
        self, digest: bytes, key: bytes, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._digest = digest
        self._key = key
        self._clock = clock
        self._sleep = sleep
        self._failures: dict[str, tuple[int, float]] = {}

    def right(self, token: str) -> bool:
        """Whether this is the admin token."""
        return hmac.compare_digest(token_digest(token, self._key), self._digest)

    async def check(self, token: str, address: str) -> None:
        """Raises Unauthenticated, after a pause that grows with the failures of this address."""
        if self.right(token):
            self._failures.pop(address, None)
            return
        now = self._clock.monotonic()
        failures, last = self._failures.pop(address, (0, now))
        failures = 1 if now - last > FORGIVEN else failures + 1
        while len(self._failures) >= REMEMBERED:
            del self._failures[next(iter(self._failures))]
        self._failures[address] = (failures, now)
        LOG.warning("a wrong admin token from %s (failure %d in a row)", address, failures)
        await self._sleep(min(SLOWEST, 0.05 * 2 ** min(failures, 10)))
        raise Unauthenticated(
            "The admin token is wrong." if token else "This route needs the admin token.",
            action="Send 'Authorization: Bearer ADMIN_TOKEN'; the token was shown at the gateway's first start.",
        )


def token_digest(token: str, key: bytes) -> bytes:
    """The keyed digest that stands for an admin token: 32 bytes of BLAKE2b."""
    return blake2b(token.encode(), digest_size=32, key=key).digest()
