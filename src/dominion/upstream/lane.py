"""The connections to one origin: which are idle, who waits for one; every decision here is taken without awaiting."""

import asyncio
from collections import deque

from dominion.domain.providers import Origin
from dominion.upstream.bounds import Ceilings
from dominion.upstream.connection import Connection
from dominion.upstream.outbox import Outbox
from dominion.upstream.proxies import Proxy
from dominion.upstream.watch import Watch


class Lane:
    """At most `ceilings.connections` connections to an origin, idle ones reused last in, first out.

    The last one used is the least likely to have been closed by the server, and the rest can age away. A member is a
    connection that is open or is being dialled. `via`: the proxy that plain-http requests must be written for.
    """

    def __init__(
        self,
        origin: Origin,
        via: Proxy | None,
        loop: asyncio.AbstractEventLoop,
        ceilings: Ceilings,
        watch: Watch,
        outbox: Outbox,
    ) -> None:
        self.origin = origin
        self.via = via
        self.idle: list[Connection] = []
        self.members: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection]] = deque()
        self._loop = loop
        self._ceilings = ceilings
        self._watch = watch
        self._outbox = outbox
        self._closing = False

    async def acquire(self) -> Connection:
        """A member that is not idle: one to be dialled (not open), or one that has this moment come free.

        Waits in line while the origin is at its ceiling. The caller owes `gone` when dialling fails.
        """
        while True:
            if len(self.members) < self._ceilings.connections:
                return self._reserve()
            if self.idle:
                self.idle[0].cut()  # only who refuses a kept connection comes here past idle ones
                continue
            waiter: asyncio.Future[Connection] = self._loop.create_future()
            self._waiting.append(waiter)
            try:
                connection = await waiter
            except asyncio.CancelledError:
                self._withdraw(waiter)
                raise
            if connection in self.members:  # else it was lost between the hand-over and now
                return connection

    def close(self) -> None:
        """Cut what is idle, keep nothing from now on, and send the waiting ones on, who then see that it is closed."""
        self._closing = True
        for connection in tuple(self.idle):
            connection.cut()
        while (waiter := self._next()) is not None:
            waiter.set_result(self._reserve())

    # --- what connections report ----------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """The socket is open."""
        self._watch.add(connection)

    def free(self, connection: Connection) -> None:
        """To the first in line, or to the idle ones."""
        if (waiter := self._next()) is not None:
            waiter.set_result(connection)
        elif self._closing:
            connection.cut()
        else:
            self.idle.append(connection)

    def gone(self, connection: Connection) -> None:
        """Its place goes to the first in line. Idempotent."""
        self.members.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        if len(self.members) < self._ceilings.connections and (waiter := self._next()) is not None:
            waiter.set_result(self._reserve())

    def lost(self, connection: Connection) -> None:
        """The socket is closed."""
        self._watch.discard(connection)

    # --- own steps ------------------------------------------------------------------------------------------------

    def _reserve(self) -> Connection:
        connection = Connection(self, self._loop, self._ceilings, self._outbox)
        self.members.add(connection)
        return connection

    def _next(self) -> "asyncio.Future[Connection] | None":
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _withdraw(self, waiter: "asyncio.Future[Connection]") -> None:
        """The waiting task was cancelled, perhaps just after it had been handed a connection."""
        if waiter.cancelled():
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            return
        connection = waiter.result()
        if connection.open:
            self.free(connection)
        else:
            self.gone(connection)
