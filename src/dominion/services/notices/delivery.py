"""The outbox of notices: what is put in comes to every channel, at least once, also after a restart. Never waited for
by a request.

Each channel has a task of its own, so that one whose receiver is stuck holds up no other; what waits is in the
database, not in memory. Of several processes that share one, each delivery is taken by one.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from dominion.domain.alerts import Delivery, Notice
from dominion.domain.contracts import Clock
from dominion.domain.errors import DominionError, StorageUnavailable
from dominion.domain.stores import AlertStore
from dominion.rules.alerts import pause_before_next

LOG = logging.getLogger("dominion.alerts")
TAKEN = 30.0
"""Seconds that a process has for a delivery it took; then it is due again, as its process may be no more."""
LOOK = 5.0
"""Seconds until what another process left is seen."""
AGAIN = 1.0
"""Seconds until a database that is away is asked again."""
LONGEST_ERROR = 300
KEEP_DAYS = 400
DAY_MS = 86_400_000


class Channel(Protocol):
    """A way to a receiver. `most` is how many notices it takes at a time; it is done within half of TAKEN."""

    name: str
    most: int

    async def deliver(self, notices: Sequence[Notice]) -> None:
        """Hand them over, all or none. Raises DominionError or OSError; the text must not hold a secret."""


class Draft(msgspec.Struct, frozen=True):
    """A notice before it has its id: see `Notices.send`."""

    kind: str
    text: str
    data: Mapping[str, Any]
    once: str = ""


class Notices:
    """The way in. `channels` are the names of those that are configured; `token` makes ids for what may be repeated."""

    def __init__(self, store: AlertStore, clock: Clock, channels: Sequence[str], token: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self.channels = tuple(channels)
        self._token = token
        self.arrived = {name: asyncio.Event() for name in channels}

    async def send(self, kind: str, text: str, data: Mapping[str, Any], *, once: str = "") -> str | None:
        """Put a notice into the outbox. `kind` is a short word, `text` one sentence for people, `data` JSON values.

        With the same kind and the same `once` it is sent a single time ever, over all processes and restarts. The id;
        None: there was one already. Raises StorageUnavailable.
        """
        sent = await self.send_all([Draft(kind, text, data, once)])
        return sent[0].id if sent else None

    async def send_all(self, drafts: Sequence[Draft]) -> list[Notice]:
        """The same for several, all or none; those that were new."""
        at = int(self._clock.now() * 1000)
        notices = [Notice(self._id(one), one.kind, at, one.text, dict(one.data)) for one in drafts]
        new = await self._store.add(notices, self.channels)
        if new:
            for event in self.arrived.values():
                event.set()
        return new

    def _id(self, draft: Draft) -> str:
        if not draft.once:
            return f"ntc_{self._token()}"
        return f"ntc_{hashlib.blake2b(f'{draft.kind} {draft.once}'.encode(), digest_size=16).hexdigest()}"


class Deliveries:
    """Works off the outbox. Belongs to one event loop."""

    def __init__(self, store: AlertStore, notices: Notices, channels: Sequence[Channel], clock: Clock) -> None:
        self._store = store
        self._notices = notices
        self._channels = channels
        self._clock = clock
        self._purged = -1
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to deliver, with what an earlier process left."""
        self._tasks = [asyncio.create_task(self._always(channel)) for channel in self._channels]

    async def close(self) -> None:
        """Stop; what was not delivered is due again soon."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def work_off(self, channel: Channel) -> float:
        """Deliver what is due. Seconds until something may be. Raises StorageUnavailable."""
        now = int(self._clock.now() * 1000)
        if now // DAY_MS > self._purged:
            await self._store.purge(now - KEEP_DAYS * DAY_MS)
            self._purged = now // DAY_MS
        due = await self._store.next_due(channel.name)
        if due is None or due > now:
            return LOOK if due is None else min(LOOK, (due - now) / 1000)
        taken = await self._store.take(channel.name, now, now + int(TAKEN * 1000), channel.most)
        if taken:
            await self._deliver(channel, taken)
        return 0.0

    async def _deliver(self, channel: Channel, taken: Sequence[tuple[Notice, int]]) -> None:
        error = ""
        try:
            async with asyncio.timeout(TAKEN / 2):
                await channel.deliver([notice for notice, _ in taken])
        except DominionError as failure:
            error = failure.message
        except TimeoutError:
            error = "It took too long."
        except Exception as failure:  # noqa: BLE001 - whatever a channel does wrong, its notices are kept
            error = f"{type(failure).__name__}: {failure}"
        now = int(self._clock.now() * 1000)
        if not error:
            delivered = Delivery(channel.name, delivered_at=now)
            await self._store.settle(channel.name, [notice.id for notice, _ in taken], delivered)
            return
        for notice, tries in taken:
            pause = pause_before_next(tries)
            next_at = None if pause is None else now + pause * 1000
            outcome = Delivery(channel.name, next_at=next_at, error=error[:LONGEST_ERROR])
            await self._store.settle(channel.name, [notice.id], outcome)
            then = "given up" if pause is None else f"tried again in {pause} s"
            LOG.info("notice %s was not delivered by %s, %s: %s", notice.id, channel.name, then, error[:LONGEST_ERROR])

    async def _always(self, channel: Channel) -> None:
        arrived = self._notices.arrived[channel.name]
        while True:
            arrived.clear()
            try:
                wait = await self.work_off(channel)
            except StorageUnavailable as error:
                LOG.debug("the outbox is out of reach: %s", error.message)
                wait = AGAIN
            except Exception:
                LOG.exception("a defect of the gateway: the outbox of %s was not worked off", channel.name)
                wait = LOOK
            if wait:
                try:
                    async with asyncio.timeout(wait):
                        await arrived.wait()
                except TimeoutError:
                    continue


class LogLines:
    """The channel that is always there: one line of the log for each notice."""

    name = "log"
    most = 100

    async def deliver(self, notices: Sequence[Notice]) -> None:
        """Never fails."""
        for notice in notices:
            LOG.warning("%s (%s %s)", notice.text, notice.kind, notice.id)
