"""One Redis or Valkey server that nobody waits for: every call has a deadline, and while the server does not answer
none is made. Needs the extra `cluster`; knows no key and no money.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from dominion.domain.errors import ConfigProblem

T = TypeVar("T")
LOG = logging.getLogger("dominion.redis")
SECONDS = 0.05
"""For one call."""
PROBE_EVERY = 0.5
PROBE_SECONDS = 2.0
"""For a new connection to a server that was away; the calls over it must be as quick as any."""
PROBE_KEY = "dominion:probe"


class RedisLink:
    """A client behind a breaker: the first call that fails or takes too long opens it, and a task of its own, never a
    request, finds out when the server writes again in time. One log line for each change of state.
    """

    def __init__(self, url: str) -> None:
        """Opens nothing yet. Raises ConfigProblem when the address is none."""
        try:
            self._client: Any = Redis.from_url(
                url,
                protocol=2,
                retry=Retry(NoBackoff(), 1),  # a connection that a restart has closed is opened anew at once
                socket_connect_timeout=PROBE_SECONDS,
            )
        except ValueError as error:
            raise ConfigProblem("REDIS_URL is not of the form redis://:password@host:port/0.") from error
        self._probing: asyncio.Task[None] | None = None

    @property
    def answers(self) -> bool:
        """Whether the server did when it was asked last."""
        return self._probing is None

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T | None:
        """What `work` gives for the client; None when the server does not answer, within SECONDS or at once."""
        if self._probing is not None:
            return None
        try:
            async with asyncio.timeout(SECONDS):
                return await work(self._client)
        except (RedisError, OSError) as error:  # TimeoutError is one of the latter
            if self._probing is None:
                LOG.warning("the cache server does not answer, each process goes by its own share: %r", error)
                self._probing = asyncio.create_task(self._probe())
            return None

    async def close(self) -> None:
        """Stop asking. Idempotent."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self._client.aclose()

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY)
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._write()
                async with asyncio.timeout(SECONDS):
                    await self._write()
            except (RedisError, OSError) as error:
                LOG.debug("the cache server is still away: %r", error)
            else:
                LOG.warning("the cache server answers again")
                self._probing = None
                return

    async def _write(self) -> None:
        """A replica, or a server without memory, answers but cannot serve."""
        await self._client.set(PROBE_KEY, b"1", px=1000)
