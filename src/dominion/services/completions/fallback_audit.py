"""Tells the audit log that another model stood in, once per provider and minute; never in the way of a request."""

import asyncio
import logging

from dominion.domain.contracts import Clock
from dominion.domain.errors import StorageUnavailable
from dominion.domain.stores import AuditStore
from dominion.services.offer.routing import Route

LOG = logging.getLogger("dominion.router")
ACTION = "fallback_triggered"
_SECONDS = 60


class FallbackAudit:
    """Belongs to one event loop. `close` it before the store."""

    def __init__(self, store: AuditStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._minutes: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, request_id: str, route: Route) -> None:
        """`route` is asked instead of the wanted one, whose provider the entry is about."""
        wanted = route.instead_of or route
        provider, minute = wanted.slot.row.id, int(self._clock.now()) // _SECONDS
        if self._minutes.get(provider) == minute:
            return
        self._minutes[provider] = minute
        task = asyncio.create_task(self._write(request_id, wanted, route))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Return when everything is written."""
        await asyncio.gather(*self._tasks)

    async def _write(self, request_id: str, wanted: Route, route: Route) -> None:
        at, subject = int(self._clock.now() * 1000), f"provider:{wanted.slot.row.id}"
        before, after = {"model": wanted.name}, {"model": route.name}
        try:
            await self._store.append(at, "system", ACTION, subject, before, after, request_id)
        except StorageUnavailable as error:
            LOG.warning("%s: the audit log does not say that %s stood in: %s", request_id, route.name, error.message)
