"""Asks provider after provider until one answers: order, repeats, breakers, one deadline. Before the first byte only.

What an attempt is it does not know, and it never sees money or a socket.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from dominion.domain.contracts import Clock
from dominion.domain.errors import ContextOverflow, ProviderError, ProviderRateLimited, ProviderRefused, ProviderTimeout
from dominion.domain.records import AttemptRecord
from dominion.rules.routing.breaker import Breaker, BreakerRules
from dominion.rules.routing.ordering import Ordering, by_weight, usual_cost
from dominion.rules.routing.retry import backoff, may_repeat, speaks_against
from dominion.services.completions.attempt_records import failed_attempt
from dominion.services.completions.metering import Meter
from dominion.services.figures.counters import Counters
from dominion.services.offer.routing import Route, Ways

LOG = logging.getLogger("dominion.router")
REMEMBERED_PACES = 200
"""Models of one slot whose pace is known: callers choose the names."""
_NEW_SHARE = 0.1
"""Of the newest latency in a pace."""

Attempt = Callable[[Meter, Route], Awaitable[bytes]]


class RouterRules(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices. Times in seconds.

    `retry_count`: repeats at one provider. Where another could answer only a rate limit is waited for, and only up to
    `wait_before_next`; at the last one up to `longest_wait`. `deadline` is for all attempts of a request together; it
    should be longer than one attempt may take. `weights` by slot id, 1 where none is given; 0: only when all others
    failed.
    """

    retry_count: int = 3
    deadline: float = 1200.0
    longest_wait: float = 10.0
    wait_before_next: float = 1.0
    ordering: Ordering = "config"
    weights: Mapping[str, float] = {}
    breaker: BreakerRules = BreakerRules()


def _nothing(*_: object) -> None:
    """Nobody listens."""


class Listeners(NamedTuple):
    """Who is told what the router meets. None of them may raise or wait.

    `failed`: of each attempt that failed; `stands_in`: the request id and a route that is asked instead of a wanted
    one; `given_up`: the error that the caller will get, with its route, to be put into words.
    """

    failed: Callable[[AttemptRecord], None] = _nothing
    stands_in: Callable[[str, Route], None] = _nothing
    given_up: Callable[[ProviderError, Route], None] = _nothing


class Record(Breaker):
    """What is known of one slot. Latencies in milliseconds: sums, and the usual one by model and kind of answer."""

    def __init__(self, rules: BreakerRules) -> None:
        super().__init__(rules)
        self.answered_ms = 0
        self.failed_ms = 0
        self.failures: Counter[str] = Counter()
        self.last_failure: dict[str, Any] | None = None
        self.paces: dict[tuple[str, bool], float] = {}

    def paced(self, model: str, *, stream: bool, ms: int) -> None:
        """Take a latency into the usual one."""
        if len(self.paces) > REMEMBERED_PACES:
            self.paces.clear()
        known = self.paces.get((model, stream), ms)
        self.paces[model, stream] = known + (ms - known) * _NEW_SHARE


class Router:
    """One for the process, so that every door knows what another has met. `chance` from 0 to 1."""

    def __init__(
        self,
        rules: RouterRules,
        counters: Counters,
        clock: Clock,
        chance: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        listeners: Listeners = Listeners(),  # noqa: B008 - frozen
    ) -> None:
        self._rules = rules
        self._counters = counters
        self._clock = clock
        self._chance = chance
        self._sleep = sleep
        self._listeners = listeners
        self._records: dict[str, Record] = {}
        self._by_latency = rules.ordering == "latency"

    def ordered(self, ways: Ways, *, stream: bool) -> Sequence[Route]:
        """The routes in the order in which they should be asked, then the fallback; whoever rests comes last."""
        routes: Sequence[Route] = ways.routes
        match self._rules.ordering:
            case "weighted":
                routes = by_weight(routes, lambda route: self._rules.weights.get(route.slot.row.id, 1), self._chance)
            case "cost":
                routes = sorted(routes, key=lambda route: 0 if route.slot.row.local else usual_cost(route.price))
            case "latency":  # who is not known yet comes first, and is known then
                routes = sorted(routes, key=lambda route: self._record(route).paces.get((route.sends, stream), 0))
        now = self._clock.monotonic()
        routes = [*routes, *ways.fallback]
        resting = [route for route in routes if not self._record(route).usable(now)]
        return [*(route for route in routes if route not in resting), *resting] if resting else routes

    async def ask(self, meter: Meter, routes: Sequence[Route], larger: Sequence[Route], attempt: Attempt) -> bytes:
        """What the first successful `attempt` returned; `larger` are asked when the prompt is too long for a route.

        Raises the last attempt's ProviderError, ProviderTimeout when the deadline has passed, and ProviderRefused at
        once: the next provider would be asked the same wrong thing.
        """
        began, first, place, repeats = meter.call.received, True, 0, 0
        while True:
            route = routes[place]
            if route.instead_of is not None:
                self._listeners.stands_in(meter.call.id, route)
            record = (route.own is None and self._records.get(route.slot.row.id)) or self._record(route)
            trying = record.open_until and record.begin(self._clock.monotonic())
            try:
                if first:  # bounded by its own times; a timer would cost
                    begun = await attempt(meter, route)
                else:
                    begun = await self._in_time(meter, route, attempt)
            except ProviderError as error:
                wait = self._failed(meter, route, error, began, repeats, routes[place + 1 :])
                if wait is None and larger and isinstance(error, ContextOverflow):
                    routes, larger, place = larger, (), -1
                elif wait is None and self._gives_up(meter, error, last=place + 1 == len(routes)):
                    self._listeners.given_up(error, route)
                    raise
            except BaseException:
                record.release(trying=bool(trying))
                raise
            else:
                self._answered(meter, record, None if first else began)
                return begun
            if wait is None:
                place, repeats = place + 1, 0
            else:
                await self._sleep(wait)
                repeats += 1
            began, first = self._clock.monotonic(), False

    def broke(self, route: Route, code: str) -> None:
        """A stream of this route broke after its first byte: nobody else can be asked, but it counts against it."""
        record = self._record(route)
        self._counters.attempts_failed[route.slot.row.id, code] += 1
        record.failures[code] += 1
        record.failure(self._clock.monotonic(), None, after_answer=True)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """What is known of each slot that was asked since the start, by its id, as plain values."""
        now = self._clock.monotonic()
        return {slot: _shown(record, now) for slot, record in self._records.items()}

    async def _in_time(self, meter: Meter, route: Route, attempt: Attempt) -> bytes:
        left = self._left(meter)
        try:
            async with asyncio.timeout(left):
                return await attempt(meter, route)
        except TimeoutError as error:
            raise ProviderTimeout(
                f"No provider answered within {self._rules.deadline:g} s.", provider=route.slot.row.name
            ) from error

    def _answered(self, meter: Meter, record: Record, began: float | None) -> None:
        """Count an answer; `began` None: it was the first attempt, and began with the request."""
        ms = meter.first_byte()
        record.answered += 1
        if began is not None:
            ms = int((self._clock.monotonic() - began) * 1000)
            LOG.info("%s: %s answered after %d ms", meter.call.id, meter.route.slot.row.id, ms)
        record.answered_ms += ms
        if record.open_until:
            record.alive(self._clock.monotonic())
            LOG.warning(
                "%s answers, its breaker is %s", meter.route.slot.row.id, "open" if record.open_until else "closed"
            )
        if self._by_latency:
            record.paced(meter.route.sends, stream=meter.peek.stream, ms=ms)

    def _failed(
        self, meter: Meter, route: Route, error: ProviderError, began: float, repeats: int, others: Sequence[Route]
    ) -> float | None:
        """Count a failure. Seconds until the same provider is asked again; None: not again. `others` come after it."""
        slot, now, record = route.slot.row.id, self._clock.monotonic(), self._record(route)
        ms = int((now - began) * 1000)
        if isinstance(error, ProviderTimeout):
            error.duration = ms / 1000
        self._listeners.failed(failed_attempt(meter, error, self._clock.now(), ms))
        stale, headers = meter.begin_again()
        self._counters.attempts_failed[slot, error.code] += 1
        record.failures[error.code] += 1
        record.failed_ms += ms
        record.last_failure = {"code": error.code, "status": error.status, "at": int(self._clock.now())}
        opened = record.opened
        if stale:
            record.release(trying=True)
            wait: float | None = 0.0
        else:
            if speaks_against(error):
                record.failure(now, error.retry_after)
            else:
                record.alive(now)
            elsewhere = any(self._record(other).usable(now) for other in others)
            wait = self._wait(meter, record, error, headers, repeats, elsewhere=elsewhere)
        next_step = "not asking it again" if wait is None else f"asking it again in {wait:.3f} s"
        LOG.info(
            "%s: %s failed after %d ms (%s, status %s), %s",
            *(meter.call.id, slot, ms, error.code, error.status, next_step),
        )
        if record.opened > opened:
            LOG.warning("%s fails too often and rests for %.1f s", slot, record.open_until - now)
        return wait

    def _gives_up(self, meter: Meter, error: ProviderError, *, last: bool) -> bool:
        """Whether nobody else is asked; then the error says after how many attempts."""
        error.attempts = meter.failed
        return last or isinstance(error, ProviderRefused) or self._left(meter) <= 0

    def _wait(
        self,
        meter: Meter,
        record: Record,
        error: ProviderError,
        headers: Mapping[bytes, bytes] | None,
        repeats: int,
        *,
        elsewhere: bool,
    ) -> float | None:
        if repeats >= self._rules.retry_count or not may_repeat(error, headers, repeats):
            return None
        if elsewhere and not isinstance(error, ProviderRateLimited):
            return None
        wait = error.retry_after or backoff(repeats, self._chance())
        patience = self._rules.wait_before_next if elsewhere else self._rules.longest_wait
        if wait > patience or wait >= self._left(meter):
            return None
        return wait if record.grant_repeat(self._clock.monotonic()) else None

    def _left(self, meter: Meter) -> float:
        return meter.call.received + self._rules.deadline - self._clock.monotonic()

    def _record(self, route: Route) -> Record:
        """What is known of a slot. What a caller's own key meets there says nothing of it, and is not remembered."""
        if route.own is not None:
            return Record(self._rules.breaker)
        slot = route.slot.row.id
        record = self._records.get(slot)
        if record is None:
            record = self._records[slot] = Record(self._rules.breaker)
        return record


def _shown(record: Record, now: float) -> dict[str, Any]:
    state = "closed"
    if record.open_until:
        state = "open" if now < record.open_until else "half-open"
    return {
        "state": state,
        "tried_again_in_seconds": round(max(0.0, record.open_until - now), 3),
        "times_opened": record.opened,
        "answered": record.answered,
        "answered_ms": record.answered_ms,
        "failed": sum(record.failures.values()),
        "failed_ms": record.failed_ms,
        "failures": dict(record.failures),
        "last_failure": record.last_failure,
        "usual_ms": {
            f"{model} ({'stream' if stream else 'whole'})": round(ms) for (model, stream), ms in record.paces.items()
        },
    }
