"""Rates that all processes share, in Redis or Valkey. Counts events, never money: it may forget everything."""

import asyncio
import hashlib
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from dominion.stores.redis_link import RedisLink

PREFIX = "dominion:rate:"
TAKE = """
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number = math.floor(now / window)
local kept = redis.call('HMGET', KEYS[1], 'number', 'count', 'before')
local count, before = tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
local passed = number - (tonumber(kept[1]) or 0)
if passed ~= 0 then
  before = passed == 1 and count or 0
  count = 0
end
local ends = (number + 1) * window - now
if limit == 0 then return window end
if count >= limit then return math.ceil(ends + (1 - (limit - 1) / count) * window) end
if count + 1 + before * (ends / window) > limit then
  return math.max(1, math.ceil(ends - (limit - count - 1) / before * window))
end
redis.call('HSET', KEYS[1], 'number', number, 'count', count + 1, 'before', before)
redis.call('PEXPIRE', KEYS[1], 2 * window)
return 0
"""
"""A sliding window by the server's clock, as `rules.limits.Rate`: the count of this window and, in proportion to how
much of it the sliding one still covers, of the one before. Times are milliseconds."""
SHA = hashlib.sha1(TAKE.encode(), usedforsecurity=False).hexdigest()
Ask = tuple[str, int, int]
"""Key, limit, window in milliseconds."""


class RedisRates:
    """`Rates` over one server. Callers that ask at the same time share one trip to it."""

    def __init__(self, url: str) -> None:
        """Opens nothing yet. Raises ConfigProblem when the address is none."""
        self._link = RedisLink(url)
        self._asked: list[tuple[Ask, asyncio.Future[float | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def take(self, scope: str, limit: int, window: float) -> float | None:
        """See `domain.stores.Rates`."""
        if not self._link.answers:
            return None
        answer: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        self._asked.append(((PREFIX + scope, limit, round(window * 1000)), answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    @property
    def answers(self) -> bool:
        """Whether the server did when it was asked last."""
        return self._link.answers

    async def close(self) -> None:
        """Stop asking. Idempotent."""
        await self._link.close()

    async def _ask_all(self) -> None:
        """One trip after the other until nobody asks any more."""
        while self._asked:
            asked, self._asked = self._asked, []
            asks = [ask for ask, _ in asked]
            waits = await self._link.run(lambda client, asks=asks: _take_all(client, asks))  # type: ignore[misc] # bound now
            for number, (_, answer) in enumerate(asked):
                if not answer.done():  # by its caller's leaving
                    answer.set_result(None if waits is None else waits[number])


async def _take_all(client: Any, asks: list[Ask]) -> list[float]:
    """Seconds for each. Raises RedisError when the server refuses any of them."""
    found = await _send(client, asks, "EVALSHA", SHA)
    unknown = [number for number, wait in enumerate(found) if isinstance(wait, NoScriptError) or _no_command(wait)]
    if unknown:  # the server has restarted, or a proxy before it knows the older command only
        again = await _send(client, [asks[number] for number in unknown], "EVAL", TAKE)
        for number, wait in zip(unknown, again, strict=True):
            found[number] = wait
    for wait in found:
        if isinstance(wait, Exception):
            raise wait
    return [wait / 1000 for wait in found]


async def _send(client: Any, asks: list[Ask], command: str, script: str) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for key, limit, window in asks:
        pipeline.execute_command(command, script, 1, key, limit, window)
    found: list[Any] = await pipeline.execute(raise_on_error=False)
    return found


def _no_command(wait: object) -> bool:
    return isinstance(wait, ResponseError) and str(wait).lower().startswith("unknown command")
