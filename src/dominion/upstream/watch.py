"""One coarse timer for all open connections, so that no read and no request costs a timer of its own."""

import asyncio

from dominion.domain.errors import NetworkFailure
from dominion.upstream.bounds import Timeouts
from dominion.upstream.connection import Connection


class Watch:
    """The open connections. Looks at each about four times within the shortest time-out; sleeps when there is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeouts: Timeouts) -> None:
        self._loop = loop
        self._timeouts = timeouts
        shortest = min(timeouts.first_byte, timeouts.idle, timeouts.total, timeouts.keep_alive)
        self._tick = min(1.0, shortest / 4)
        self._timer: asyncio.TimerHandle | None = None
        self._none: asyncio.Future[None] | None = None
        self.connections: set[Connection] = set()

    def add(self, connection: Connection) -> None:
        """A socket has opened."""
        self.connections.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick, self._look)

    def discard(self, connection: Connection) -> None:
        """A socket has closed."""
        self.connections.discard(connection)
        if self.connections:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._none is not None and not self._none.done():
            self._none.set_result(None)

    async def none_left(self) -> None:
        """Wait until no socket is open. One task at a time."""
        if self.connections:
            self._none = self._loop.create_future()
            await self._none

    def cut_all(self) -> None:
        """Close every connection at once; the exchanges under way end with NetworkFailure."""
        for connection in tuple(self.connections):
            connection.fail(NetworkFailure("This gateway closed the connection because it is shutting down."))

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._tick, self._look)
        now = self._loop.time()
        for connection in tuple(self.connections):
            connection.expire(now, self._timeouts)
