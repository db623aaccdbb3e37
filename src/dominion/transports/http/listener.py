"""The listening server: uvicorn's connections with our protocol, and an end in which no request is lost.

Signals are not its business: whoever runs it calls `leave` and `cut`.
"""

import asyncio
import logging
import select
import socket

import uvicorn
from uvicorn.server import ServerState

from dominion.domain.errors import ConfigProblem
from dominion.transports.http.protocol import HEADERS, WAITING, GatewayProtocol
from dominion.transports.http.server import HttpServer

LOG = logging.getLogger("dominion.http")
BACKLOG = 2048
SWEEP_SECONDS = 2.0
"""Between two looks for slow senders."""
LOOK_SECONDS = 0.05
"""Between two looks at what is left, while leaving."""
QUIET_SECONDS = 1.0
"""A connection that says nothing for so long after the listener is closed has no request on its way."""
LAST_SECONDS = 1.5
"""For what was cut off to say so to its callers and to the ledger."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigProblem that says what is in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigProblem(
            f"Cannot listen on {host} port {port}: {error.strerror}.",
            action="Stop the program that uses this port, or choose another: PORT=3101 or --port 3101.",
        ) from error
    listening.setblocking(False)
    return listening


class Listener:
    """Serves one application until `leave` is called, then lets every request end that has begun.

    While it leaves, answers say `Connection: close`; a connection that is kept alive takes one more request, for that
    may be on its way. `drain_seconds`: how long running requests may take; those that take longer are cut off and say
    so.
    """

    def __init__(self, application: HttpServer, drain_seconds: float) -> None:
        self._application = application
        self._drain_seconds = drain_seconds
        self._notice = 0.0
        self._leaving, self._cutting = asyncio.Event(), asyncio.Event()
        self._state = ServerState()
        self._config = uvicorn.Config(
            application,
            http=GatewayProtocol,
            interface="asgi3",
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
        )
        self._config.load()

    def leave(self, notice: float = 0.0) -> None:
        """Go on accepting for `notice` seconds, then drain. Called again it changes nothing."""
        if not self._leaving.is_set():
            self._notice = notice
            self._leaving.set()

    def cut(self) -> None:
        """Cut off what still runs."""
        self.leave()
        self._cutting.set()

    async def run_on(self, listening: socket.socket) -> None:
        """Serve until told to leave; when this returns the socket is closed and every request has been settled."""
        server = await asyncio.get_running_loop().create_server(self._connection, sock=listening, backlog=BACKLOG)
        await self._sweep_until(self._leaving, None)
        for connection in self._connections():
            connection.leaving = True
        await self._sweep_until(self._cutting, self._notice)
        server.close()
        listening.close()
        await asyncio.sleep(LOOK_SECONDS)  # whoever was let in this very moment has no connection yet, and must get one
        await self._drain()
        await self._cut_off()

    def _connection(self) -> GatewayProtocol:
        connection = GatewayProtocol(config=self._config, server_state=self._state, app_state={})
        connection.leaving = self._leaving.is_set()
        return connection

    def _connections(self) -> list[GatewayProtocol]:
        return [each for each in self._state.connections if isinstance(each, GatewayProtocol)]

    async def _sweep_until(self, event: asyncio.Event, seconds: float | None) -> None:
        """Look for slow senders now and then, until the event or for so long."""
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while not event.is_set() and (end is None or loop.time() < end):
            await _event_within(event, SWEEP_SECONDS if end is None else min(SWEEP_SECONDS, end - loop.time()))
            for connection in self._connections():
                connection.sweep(loop.time())

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (self._state.connections or self._state.tasks) and not self._cutting.is_set():
            now = loop.time()
            if now - began >= self._drain_seconds:
                return
            for connection in self._connections():
                _let_go(connection, quiet_for=now - max(connection.since, began))
            await _event_within(self._cutting, LOOK_SECONDS)

    async def _cut_off(self) -> None:
        """End what is left: its callers are told, its rows are written."""
        tasks = set(self._state.tasks)
        if tasks:
            LOG.warning("%d requests did not end in time and are cut off", len(tasks))
        for task in tasks:
            task.cancel()
        loop = asyncio.get_running_loop()
        end = loop.time() + LAST_SECONDS
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_SECONDS)
        for connection in self._connections():
            connection.transport.close()  # which sends first what was written
        while self._state.connections and loop.time() < end:  # noqa: ASYNC110 - nobody says when bytes are out
            await asyncio.sleep(LOOK_SECONDS)
        for connection in self._connections():
            connection.transport.abort()


def _let_go(connection: GatewayProtocol, *, quiet_for: float) -> None:
    """Close a connection that waits for its next request, and see to it that a running request is the last one.

    One whose answer has begun cannot tell its caller any more, so it is kept for one more request.
    """
    cycle = connection.cycle
    if connection.stage == WAITING or (connection.stage == HEADERS and connection.headers is None):
        if quiet_for >= QUIET_SECONDS and not _has_input(connection.transport):
            connection.transport.close()
    elif cycle is not None and not cycle.response_started:  # type: ignore[redundant-expr]  # the same
        cycle.keep_alive = False


def _has_input(transport: asyncio.Transport) -> bool:
    """Whether bytes have come that nobody has read yet: closing now would throw a request away."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _event_within(event: asyncio.Event, seconds: float) -> None:
    """Return at the event, or after so long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
