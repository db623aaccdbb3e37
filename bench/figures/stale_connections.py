"""Figure 10 b: the upstream closes kept-alive connections at random moments, and no caller may notice."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import cast

import httptools
import uvloop

from bench.request import completion_body, request_bytes
from bench.row import Row
from bench.setting import Setting
from bench.target import Target

_CALLERS = 64
_CLOSE_WITHIN_MS = 50
_LIMIT_S = 60.0
_SEED = 11


class Caller(asyncio.Protocol):
    """Asks, thinks for up to 50 ms, and asks again on the same connection."""

    def __init__(self, request: bytes, requests: int, think: Callable[[], float], seen: Counter[str]) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._request, self._left, self._think, self._seen = request, requests, think, seen
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Count the status; think; a new parser, for the next answer."""
        self._seen[str(self._parser.get_status_code())] += 1
        self._parser = httptools.HttpResponseParser(self)
        asyncio.get_running_loop().call_later(self._think(), self._ask)

    def connection_lost(self, _error: Exception | None) -> None:
        """The server hung up on us: that is a failure for the request under way and all that were to follow."""
        self._transport = None
        self._seen["lost"] += self._left + 1 if not self.ended.done() else 0
        self._end()

    def _ask(self) -> None:
        if self._transport is None:
            return
        if not self._left:
            self._end()
            self._transport.close()
            return
        self._left -= 1
        self._transport.write(self._request)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def measure(setting: Setting) -> list[Row]:
    """Ask nginx for comparison, then the gateway: each request must be answered with 200 and reach the mock once."""
    seen = {}
    setting.mock.close_within_ms(_CLOSE_WITHIN_MS)
    try:
        for target in (target for target in setting.targets if target.name != "control"):
            with setting.watched(target.name) as answered:
                seen[target.name] = uvloop.run(_callers(target, setting.plan.stale_requests // _CALLERS))
                answered(seen[target.name]["200"])
    finally:
        setting.mock.close_within_ms(0)
    facts = {name: f"{found['200']:,} answered, {found.total() - found['200']} errors" for name, found in seen.items()}
    bad = seen.get("gateway", Counter()).total() - seen.get("gateway", Counter())["200"]
    return [
        Row(
            "10",
            f"upstream closes kept-alive connections within 0-{_CLOSE_WITHIN_MS} ms: errors that callers see",
            facts="; ".join(f"{name} {fact}" for name, fact in facts.items()),
            void=f"{bad} errors" if bad else "",
        )
    ]


async def _callers(target: Target, each: int) -> Counter[str]:
    loop, rng, seen = asyncio.get_running_loop(), random.Random(_SEED), Counter[str]()  # noqa: S311 -- pauses
    request = request_bytes(target.port, target.key, completion_body())

    def caller() -> Caller:
        return Caller(request, each, lambda: rng.uniform(0, _CLOSE_WITHIN_MS / 1000), seen)

    made = [await loop.create_connection(caller, "127.0.0.1", target.port) for _ in range(_CALLERS)]
    async with asyncio.timeout(_LIMIT_S):
        await asyncio.gather(*(protocol.ended for _, protocol in made))
    return seen
