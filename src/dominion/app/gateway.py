"""A running gateway: starts, serves until it is told to stop, and closes everything."""

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

import uvloop

from dominion.app.inside import build
from dominion.app.world import SystemClock, open_world
from dominion.config import Settings
from dominion.credentials.keys import derive
from dominion.services.bootstrap import FirstStart, admin_digest, first_start
from dominion.transports.http.guard import AdminGate, token_digest
from dominion.transports.http.listener import Listener, bind

GC_THRESHOLDS = (20_000, 20, 100)
"""A request makes few cycles and many short-lived objects: looking at them 20 times a second is enough."""


def allow_many_files() -> None:
    """Take what the system allows: an open stream is two files, and the usual soft limit of 1,024 ends at 500."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Ready(NamedTuple):
    """What the start came to, for whoever announces it."""

    url: str
    providers: list[str]
    warnings: list[str]
    first: FirstStart | None
    recovered: int


class Gateway:
    """A running gateway. `start` opens everything, `run` serves until `stop`, and the end closes everything."""

    def __init__(self, settings: Settings, *, local_model: bool = False) -> None:
        self._settings = settings
        self._wants_local_model = local_model
        self._clock = SystemClock()
        self._opened = AsyncExitStack()
        self._warnings: list[str] = []

    async def start(self) -> Ready:
        """Open everything and listen. Raises ConfigProblem or StorageUnavailable; then nothing stays open."""
        settings = self._settings
        try:
            self._socket = bind(settings.host, settings.port)
            self._opened.callback(self._socket.close)
            world = await open_world(
                settings, self._clock, self._opened, self._warnings, local_model=self._wants_local_model
            )
            recovered = await world.posting.start()
            self._opened.push_async_callback(world.posting.close)
            token_key = derive(world.sealing, "admin-token")
            given = settings.admin_token
            digest, minted = await admin_digest(
                world.kept,
                token_digest(given.reveal(), token_key) if given else None,
                lambda token: token_digest(token, token_key),
            )
            inside = build(world, settings, self._clock, AdminGate(digest, token_key, self._clock))
            first = await first_start(world.kept, inside.accounts, minted)
        except BaseException:
            await self._opened.aclose()
            raise
        self._health = inside.health
        self._listener = Listener(inside.application, int(settings.drain_seconds))
        return Ready(
            _url(self._socket),
            list(dict.fromkeys(slot.row.id for slot in world.slots)),
            self._warnings,
            first,
            recovered,
        )

    async def run(self) -> None:
        """Serve until `stop`, then let running requests end and close everything."""
        try:
            await self._listener.run_on(self._socket)
        finally:
            await self._opened.aclose()

    def stop(self) -> None:
        """Drain and end; called again: end at once."""
        self._health.draining = True
        self._listener.stop()


async def serve(settings: Settings, announce: Callable[[Ready], None], *, local_model: bool = False) -> None:
    """Run a gateway until SIGINT or SIGTERM; `announce` is called when it answers. Raises as `Gateway.start`."""
    gateway = Gateway(settings, local_model=local_model)
    ready = await gateway.start()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, gateway.stop)
    allow_many_files()
    gc.collect()
    gc.freeze()  # what lives for ever need not be looked at again
    gc.set_threshold(*GC_THRESHOLDS)
    announce(ready)
    await gateway.run()


def main(settings: Settings, announce: Callable[[Ready], None], *, local_model: bool = False) -> None:
    """`serve` in an event loop of its own."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, announce, local_model=local_model))


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - only shown
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
