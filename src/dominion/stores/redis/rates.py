"""Rates that all processes share, in Redis or Valkey. Counts events, never money: it may forget everything.

A process that asks again and again takes a few events ahead and counts them in memory. They are counted here as if they
had happened, so all processes together never pass a limit, and what is not used soon is given back.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from dominion.stores.redis.link import RedisLink

PREFIX = "dominion:rate:"
AHEAD = 0.25
"""Seconds that what was taken ahead may wait for its use; half as many are what a key's last callers would need."""
SHARE = 32
"""One of so many parts of what is left may be taken ahead at once."""
REFUSED = 0.05
"""Seconds for which a refusal holds for whoever comes next, so that a flood of them does not reach the server."""
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for at, key in ipairs(KEYS) do
  local limit, window, need, ahead, unused, taken_in = unpack(ARGV, 6 * at - 5, 6 * at)
  limit, window, need, ahead = tonumber(limit), tonumber(window), tonumber(need), tonumber(ahead)
  unused, taken_in = tonumber(unused), tonumber(taken_in)
  local number = math.floor(now / window)
  local kept = redis.call('HMGET', key, 'number', 'count', 'before')
  local count, before = tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
  local passed = number - (tonumber(kept[1]) or 0)
  if passed ~= 0 then
    before = passed == 1 and count or 0
    count = 0
  end
  if taken_in == number then
    count = math.max(0, count - unused)
  elseif taken_in == number - 1 then
    before = math.max(0, before - unused)
  end
  local ends = (number + 1) * window - now
  local room = math.max(0, math.floor(limit - count - before * (ends / window)))
  local got = math.min(need, room)
  if got == need then
    got = got + math.min(ahead, math.floor((room - need) / SHARE))
  end
  if got > 0 or unused > 0 then
    count = count + got
    redis.call('HSET', key, 'number', number, 'count', count, 'before', before)
    redis.call('PEXPIRE', key, 2 * window)
  end
  local wait = 0
  if got < need then
    if limit == 0 then wait = window
    elseif count >= limit then wait = math.ceil(ends + (1 - (limit - 1) / count) * window)
    else wait = math.max(1, math.ceil(ends - (limit - count - 1) / before * window)) end
  end
  found[4 * at - 3], found[4 * at - 2], found[4 * at - 1], found[4 * at] = got, wait, number, ends
end
return found
""".replace("SHARE", str(SHARE))
"""Sliding windows by the server's clock, as `rules.limits.Rate`: the count of this window and, in proportion to how
much of it the sliding one still covers, of the one before. Times are milliseconds. For each key: how many were counted,
how long the next has to wait if not all that are needed were, the number of the window and how long it lasts."""
FIGURES = 4
"""So many for each key."""
SHA = hashlib.sha1(TAKE.encode(), usedforsecurity=False).hexdigest()
Key = tuple[str, int, int]
"""Scope, limit, window in milliseconds."""


class Lease:
    """What is known of one key for a moment: `left` events may happen until `until`, they are counted already, in the
    server's window `number`. Until `refused` nothing fits, and one does at `fits`. `got` were counted by the last trip,
    at `at`. Times are those of the event loop."""

    __slots__ = ("at", "fits", "got", "left", "number", "refused", "until", "waiting")

    def __init__(self) -> None:
        self.left = self.got = self.number = 0
        self.at = self.until = self.refused = self.fits = float("-inf")
        self.waiting: list[asyncio.Future[float | None]] = []

    def ask(self, key: Key, now: float) -> tuple[list[asyncio.Future[float | None]], list[int]]:
        """Who waits, and what to ask for them; what is left goes back."""
        waiting, self.waiting = [answer for answer in self.waiting if not answer.done()], []
        ahead = int((self.got - self.left) * AHEAD / 2 / max(now - self.at, 0.001))
        ask = [key[1], key[2], len(waiting), ahead if waiting else 0, self.left, self.number]
        self.left, self.at = 0, now
        return waiting, ask

    def answer(self, waiting: Sequence[asyncio.Future[float | None]], now: float, figures: Sequence[int]) -> None:
        """Tell those who wait what the script found `now`. Who has left in the meantime leaves an event."""
        self.got, wait, self.number, ends = figures
        self.left, self.until = self.got, self.at + min(AHEAD, ends / 1000)
        self.fits = now + wait / 1000
        self.refused = self.at + min(REFUSED, wait / 1000)
        for answer in waiting:
            if not answer.done():
                answer.set_result(0.0 if self.left else wait / 1000)
                self.left -= self.left > 0


class RedisRates:
    """`Rates` over one server. Callers that ask at the same time share one trip to it."""

    def __init__(self, url: str) -> None:
        """Opens nothing yet. Raises ConfigProblem when the address is none."""
        self._link = RedisLink(url)
        self._leases: dict[Key, Lease] = {}
        self._asked: dict[Key, Lease] = {}
        self._asking: asyncio.Task[None] | None = None
        self._tidying: asyncio.TimerHandle | None = None

    async def take(self, scope: str, limit: int, window: float) -> float | None:
        """See `domain.stores.Rates`."""
        if not self._link.answers:
            return None
        loop = asyncio.get_running_loop()
        key, now = (scope, limit, round(window * 1000)), loop.time()
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = Lease()
            self._tidying = self._tidying or loop.call_later(AHEAD, self._tidy)
        elif lease.left and now < lease.until:
            lease.left -= 1
            return 0.0
        elif now < lease.refused:
            return lease.fits - now
        answer: asyncio.Future[float | None] = loop.create_future()
        lease.waiting.append(answer)
        self._ask(key, lease)
        return await answer

    @property
    def answers(self) -> bool:
        """Whether the server did when it was asked last."""
        return self._link.answers

    async def close(self) -> None:
        """Give back what was taken ahead, and stop asking. Idempotent."""
        if self._tidying is not None:
            self._tidying.cancel()
        for key, lease in self._leases.items():
            if lease.left:
                self._ask(key, lease)
        if self._asking is not None:
            await self._asking
        await self._link.close()

    def _ask(self, key: Key, lease: Lease) -> None:
        self._asked[key] = lease
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())

    async def _ask_all(self) -> None:
        """One trip after the other until nobody asks any more."""
        loop = asyncio.get_running_loop()
        while self._asked:
            asked, self._asked = self._asked, {}
            asks = [lease.ask(key, loop.time()) for key, lease in asked.items()]
            names = [PREFIX + scope for scope, _, _ in asked]
            numbers = [number for _, ask in asks for number in ask]
            found = None
            try:
                found = await self._link.run(lambda client, names=names, numbers=numbers: _take(client, names, numbers))  # type: ignore[misc] # bound now
            finally:  # nobody waits for ever, whatever went wrong
                if found is None:
                    self._give_up([answer for waiting, _ in asks for answer in waiting])
            if found is not None:
                for at, (lease, (waiting, _)) in enumerate(zip(asked.values(), asks, strict=True)):
                    lease.answer(waiting, loop.time(), found[FIGURES * at : FIGURES * (at + 1)])

    def _give_up(self, waiting: Sequence[asyncio.Future[float | None]]) -> None:
        """The server is away; what it still counts when it comes back, nobody knows."""
        for answer in waiting:
            if not answer.done():
                answer.set_result(None)
        for lease in self._leases.values():
            lease.left = lease.got = 0

    def _tidy(self) -> None:
        """Give back what was not used, and forget what was not asked for."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key, lease in list(self._leases.items()):
            if lease.left and now >= lease.until:
                self._ask(key, lease)
            elif now - lease.at > 2 * AHEAD and not lease.waiting:
                del self._leases[key]
        self._tidying = loop.call_later(AHEAD, self._tidy) if self._leases else None


async def _take(client: Any, names: list[str], numbers: list[int]) -> list[int]:
    """What the script answers. Raises RedisError when the server refuses it."""
    try:
        found: list[int] = await client.execute_command("EVALSHA", SHA, len(names), *names, *numbers)
    except ResponseError as error:  # it has restarted, or a proxy before it knows the older command only
        if not isinstance(error, NoScriptError) and not str(error).lower().startswith("unknown command"):
            raise
        found = await client.execute_command("EVAL", TAKE, len(names), *names, *numbers)
    return found
