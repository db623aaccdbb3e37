"""The listening server: uvicorn with our protocol, without its own handling of signals, its logs and its headers."""

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn

from dominion.domain.errors import ConfigProblem
from dominion.transports.http.protocol import GatewayProtocol
from dominion.transports.http.server import HttpServer

BACKLOG = 2048
SWEEP_EVERY = 20
"""Ticks of uvicorn's loop (a tenth of a second each) between two looks for slow senders."""
LAST_SECONDS = 2.0


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


class Listener(uvicorn.Server):
    """Serves one application until `stop` is called."""

    def __init__(self, application: HttpServer, drain_seconds: int) -> None:
        """`drain_seconds`: how long running requests may take after `stop`."""
        super().__init__(
            uvicorn.Config(
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
                timeout_graceful_shutdown=drain_seconds,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the composition root."""
        yield

    def stop(self) -> None:
        """Stop accepting and drain; called again: stop at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def run_on(self, listening: socket.socket) -> None:
        """Serve until stopped; when this returns every request has been settled."""
        await self.serve(sockets=[listening])
        tasks = set(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_SECONDS)

    async def on_tick(self, counter: int) -> bool:
        """Also look for slow senders, now and then."""
        if counter % SWEEP_EVERY == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, GatewayProtocol):
                    connection.sweep(now)
        return await super().on_tick(counter)
