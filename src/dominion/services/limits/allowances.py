"""What this process may spend of limits that several processes share: leased, spent in memory, returned when idle.

A standing's `limits` become what is leased, so that verdicts stay as they are; `whole` keeps the operator's. What is
leased grows only after the database has said so, and shrinks before it hears of it: the database never knows of less
than may be spent. Used only where processes share a database (docs/decisions/0024).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from dominion.domain.allowances import Amount, Peer, Taken, Want, WindowKey
from dominion.domain.contracts import Clock
from dominion.domain.errors import LimitExceeded, StorageUnavailable
from dominion.domain.people import Limits
from dominion.domain.stores import AllowanceStore
from dominion.rules.limits.shares import (
    Share,
    fits,
    is_limited,
    keys_of,
    leased_limits,
    shares_of,
    tell_numbers,
    wants_of,
)
from dominion.rules.limits.verdict import SHORTEST_ANSWER, Ask, ScopeStanding, Standing
from dominion.rules.windows import day_of, month_of
from dominion.services.limits.gates import Gate, ShortError
from dominion.services.limits.posting import Posting
from dominion.services.limits.rates import SharedRates

LOG = logging.getLogger("dominion.allowances")
BEAT = 1.0
"""Seconds between two reports; what was not touched between them goes back."""
LISTEN = 0.1
"""Seconds between two looks for what others recall."""
RECALL_PAUSE = 0.03
RECALL_ROUNDS = 15
"""So long is waited for others to return what they do not use, before a request is refused: 0.45 s."""
LIVE = 5.0
"""Seconds since its last report for which a process counts as living."""
SAFE = 0.9
"""Of the grace: so long a process spends its leases without being heard. Clocks may differ in pace by the rest."""
GRACE = 900.0
T = TypeVar("T")


class Heard(NamedTuple):
    """A process, and when it was first seen with this beat, in monotonic seconds of our own."""

    peer: Peer
    at: float


class Allowances:
    """The leases of this process. `rates` None: each process takes its part of a rate. `grace` seconds after which a
    process that is not heard of counts as lost with its disk."""

    def __init__(
        self,
        store: AllowanceStore,
        process_id: str,
        posting: Posting,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        *,
        rates: SharedRates | None = None,
        grace: float = GRACE,
    ) -> None:
        self._store = store
        self._process = process_id
        self._posting = posting
        self._clock = clock
        self._sleep = sleep
        self._rates = rates
        self._grace = grace
        self._life = 0
        self._heard: dict[str, Heard] = {}
        self._spend_until = float("-inf")
        self._last_words = False
        self._purged = -1
        self._standings: dict[str, Standing] = {}
        self._keys: dict[str, tuple[WindowKey, ...]] = {}
        self._shares: dict[WindowKey, Share] = {}
        self._active: dict[str, Standing] = {}
        self._ended: list[Share] = []
        self._gates: dict[str, Gate] = {}
        self._talking = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    # --- before each verdict

    def adopt(self, standing: Standing) -> None:
        """See `admission.Leases`."""
        if standing.whole is None:
            standing.whole = standing.limits
        keys = keys_of(standing)
        for key in self._keys.get(standing.scope, ()):
            if key not in keys:  # a day or a month has ended; what is held in it still settles there
                self._ended.append(self._shares.pop(key))
        self._keys[standing.scope] = keys
        for share in shares_of(standing):
            known = self._shares.setdefault(share.key, share)
            if not known.leased and (known is not share or isinstance(standing, ScopeStanding)):
                known.begin_again(self._posting.unposted())
        self._standings[standing.scope] = standing
        if gate := self._gates.get(standing.scope):
            gate.refused = float("-inf")  # that was in other windows, or of other limits
        self._fit(standing)

    async def drop(self, standing: Standing) -> None:
        """The standing has no limits any more. Raises StorageUnavailable; then what it had comes back with the rest."""
        self._standings.pop(standing.scope, None)
        self._active.pop(standing.scope, None)
        async with self._talking:
            windows = [key for key in self._keys.pop(standing.scope, ()) if self._shares.pop(key).leased]
            if windows:
                await self._store.forget(self._process, windows)

    def check(self, standings: Sequence[Standing], ask: Ask) -> None:
        """See `admission.Leases`. Raises StorageUnavailable when the database has not heard of us for too long."""
        if self._last_words:
            return
        tokens = ask.input_bound + ask.output_cap * ask.choices
        nano = ask.nano(ask.output_cap)
        wants: list[Want] = []
        for standing in standings:
            self._active[standing.scope] = standing
            if not fits(standing, tokens, nano):
                wants += wants_of(standing, Amount(1, tokens, nano))
        if self._clock.monotonic() > self._spend_until and any(is_limited(one.limits) for one in standings):
            raise StorageUnavailable("What is left of the limits is not known: the database is out of reach.")
        if wants:
            shortest = min(ask.output_cap, SHORTEST_ANSWER)
            least = Amount(1, ask.input_bound + shortest * ask.choices, ask.nano(shortest))
            raise ShortError(wants, least)

    async def admit(self, standing: Standing, limits: Limits, attempt: Callable[[], T]) -> T:
        """What `attempt` returns, for a request of a user whose limits are `limits` now; see `lease_for`."""
        if limits is not standing.whole and limits != standing.whole:
            standing.whole = limits
            self.adopt(standing)
        if self._rates is not None:
            await self._rates.ask(standing, self._part)
        return await self.lease_for(standing, attempt)

    async def lease_for(self, standing: Standing, attempt: Callable[[], T]) -> T:
        """What `attempt` returns: it holds through `Admission`, and is called again when more is leased.

        Raises what it raises, LimitExceeded, StorageUnavailable.
        """
        try:
            return attempt()
        except ShortError as found:
            short = found
        arrived = self._clock.monotonic()
        gate = self._gates.setdefault(standing.scope, Gate())
        gate.waiting += 1
        try:
            async with gate.lock:
                if gate.refuses(short, arrived):
                    return self._as_before(gate, attempt)
                return await self._in_turn(gate, attempt)
        finally:
            gate.waiting -= 1
            if not gate.waiting and gate.refused < self._clock.monotonic():
                self._gates.pop(standing.scope, None)

    def _as_before(self, gate: Gate, attempt: Callable[[], T]) -> T:
        """On what is there, without asking for more; refused for the reason of the last refusal."""
        try:
            return self._verdict(attempt, {})
        except LimitExceeded as error:
            raise gate.reason(error) from None

    async def _in_turn(self, gate: Gate, attempt: Callable[[], T]) -> T:
        """Lease as long as that helps; then the verdict is on what is there, and may lower the cap or refuse."""
        taken: dict[WindowKey, Taken] = {}
        for again in reversed(range(RECALL_ROUNDS)):
            try:
                return attempt()
            except ShortError as found:
                short = found
            if self._begun_anew(short.wants):
                continue
            taken = await self._take(short.wants, partly=False)
            if all(taken[want.window].more.covers(want.need) for want in short.wants):
                continue
            if not again or not any(each.asked for each in taken.values()):
                return await self._at_last(gate, short, attempt)
            await self._sleep(RECALL_PAUSE)
        return self._verdict(attempt, taken)

    async def _at_last(self, gate: Gate, short: ShortError, attempt: Callable[[], T]) -> T:
        """Lease all that is left: a lower cap may fit. If it does not, what is of no use here goes back, and of several
        that give up at the same time the last one finds what all of them had."""
        wants = short.wants
        taken = await self._take(wants, partly=True)
        try:
            return self._verdict(attempt, taken)
        except LimitExceeded as error:
            shares = [self._shares[want.window] for want in wants if want.window in self._shares]
            if not all(share.idle for share in shares):
                for share in shares:
                    self._give_up(share)
                await self._report(shares)
                taken = await self._take(wants, partly=False)
                if all(taken[want.window].more.covers(want.need) for want in wants):
                    return self._verdict(attempt, taken)
            gate.refuse(error, short.least, self._clock.monotonic())
            raise

    def _verdict(self, attempt: Callable[[], T], taken: dict[WindowKey, Taken]) -> T:
        """On what is there: it may lower the cap or refuse."""
        self._last_words = True
        try:
            return attempt()
        except LimitExceeded as error:
            tell_numbers(error, taken, self._shares)
            raise
        finally:
            self._last_words = False

    def _begun_anew(self, wants: Sequence[Want]) -> bool:
        """Whether windows that were used before anything of them was leased now count from here."""
        changed = False
        for share in (self._shares[want.window] for want in wants if want.window in self._shares):
            if not share.leased and share.settled != share.base and share.begin_again(self._posting.unposted()):
                self._fit(share.standing)
                changed = True
        return changed

    async def _take(self, wants: Sequence[Want], *, partly: bool) -> dict[WindowKey, Taken]:
        """Ask the database once. Whatever fails there, this process spends no more than it knows to have."""
        others = [name for name in self._living() if name != self._process]
        async with self._talking:
            shares = [self._shares.get(want.window) for want in wants]  # None: its day has just ended
            for share in filter(None, shares):
                share.leased, share.said = True, None  # even if the answer is lost, the next report sets it right
            asked = [msgspec.structs.replace(want, partly=partly) for want in wants]
            answers = await self._store.take(self._process, asked, others)
            for leased, taken in zip(shares, answers, strict=True):
                if leased is not None:
                    leased.granted += taken.more
                    if self._shares.get(leased.key) is leased:
                        self._fit(leased.standing)
        return {want.window: taken for want, taken in zip(wants, answers, strict=True)}

    # --- what is leased, in memory

    def _fit(self, standing: Standing) -> None:
        """Make the standing's limits what is leased."""
        limit = standing.told.requests_per_minute
        if limit is not None and (self._rates is None or isinstance(standing, ScopeStanding)):
            limit = self._part(limit)
        standing.limits = leased_limits(standing, self._shares, rate=limit)

    def _part(self, rate: int) -> int:
        """This process's part of a rate: a small one is rounded up to one."""
        return min(rate, max(1, rate // len(self._living())))

    def _living(self) -> list[str]:
        """Processes that were heard of lately, this one among them."""
        now = self._clock.monotonic()
        names = [name for name, heard in self._heard.items() if now - heard.at <= LIVE and not heard.peer.lost]
        return names if self._process in names else [*names, self._process]

    # --- the background

    async def join(self) -> None:
        """Begin a life, after the journal of this process's earlier one was posted. Raises StorageUnavailable."""
        began = self._clock.monotonic()
        self._life = await self._store.join(self._process)
        self._spend_until = began + SAFE * self._grace
        await self.beat()

    async def start(self) -> None:
        """Join, and report from then on."""
        await self.join()
        self._tasks = [
            asyncio.create_task(self._always(BEAT, self.beat)),
            asyncio.create_task(self._always(LISTEN, self.listen)),
        ]

    async def close(self) -> None:
        """Stop, and give everything back, once all that was used is posted. Call when no request runs any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._posting.flush()
            if not any(standing.running for standing in self._standings.values()):
                await self._store.leave(self._process)
        except StorageUnavailable as error:
            LOG.warning("leases are kept for the next start, as the journal is: %s", error.message)

    async def beat(self) -> None:
        """Report, return what is idle, and see who lives. Raises StorageUnavailable."""
        began = self._clock.monotonic()
        shares = [self._shares[key] for scope in self._active for key in self._keys[scope]]
        for share in shares:
            if share.before == share.used:
                self._give_up(share)
            share.before = share.used
        for share in self._ended:
            share.give_up()
        if not await self._report([*shares, *self._ended]):
            await self._begin_again()
            return
        self._spend_until = began + SAFE * self._grace
        day = day_of(self._clock.now())
        if day != self._purged:
            await self._store.purge(day, month_of(day))
            self._purged = day
        self._ended = [share for share in self._ended if share.held]
        for scope, standing in list(self._active.items()):
            if not standing.running and all(self._shares[key].idle for key in self._keys[scope]):
                del self._active[scope]

    async def listen(self) -> None:
        """Return what others recall and this process does not use. Raises StorageUnavailable."""
        if not self._active:
            return
        recalled = [self._shares[key] for key in await self._store.recalled(self._process) if key in self._shares]
        for share in recalled:
            self._give_up(share)
            share.said = None  # they wait for an answer, be it none
        if recalled:
            await self._report(recalled)

    def _give_up(self, share: Share) -> None:
        share.give_up()
        self._fit(share.standing)

    async def _report(self, shares: Sequence[Share]) -> bool:
        """Say what is new of these. Whether this life still counts."""
        async with self._talking:
            reports = [(share, share.report()) for share in shares if share.leased]
            news = [(share, report) for share, report in reports if report != share.said]
            peers = await self._store.report(self._process, self._life, [report for _, report in news])
            for share, report in news:
                share.said = report
        if peers is not None:
            await self._hear(peers)
        return peers is not None

    async def _hear(self, peers: Sequence[Peer]) -> None:
        """Who lives; whoever was not heard of for the whole grace, by our own clock, is declared lost."""
        now, living = self._clock.monotonic(), len(self._living())
        before, self._heard = self._heard, {}
        for peer in peers:
            known = before.get(peer.process)
            self._heard[peer.process] = known if known is not None and known.peer == peer else Heard(peer, now)
        if len(self._living()) != living:
            for standing in self._standings.values():
                self._fit(standing)
        for name, heard in self._heard.items():
            silent = now - heard.at > self._grace and name != self._process and not heard.peer.lost
            if silent and await self._store.lose(heard.peer, int(self._clock.now() * 1000)):
                LOG.error("process %s is lost with its disk: what it last said to have used is charged", name)

    async def _begin_again(self) -> None:
        """Others declared this life lost: spend nothing until everything that was used is posted, and join anew."""
        LOG.error("this process seemed lost to others: it begins anew, and what they charged for it is taken back")
        self._spend_until = float("-inf")
        await self._posting.flush()
        async with self._talking, self._posting.quiet():
            life = await self._store.join(self._process)
            for share in self._shares.values():
                share.begin_again(self._posting.unposted())
        self._life, self._ended = life, []
        for standing in self._standings.values():
            self._fit(standing)
        self._spend_until = self._clock.monotonic() + SAFE * self._grace

    async def _always(self, pause: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await self._sleep(pause)
            try:
                await work()
            except StorageUnavailable as error:
                LOG.debug("the database is out of reach: %s", error.message)
            except Exception:
                LOG.exception("a defect of the gateway: leases were not reported")
