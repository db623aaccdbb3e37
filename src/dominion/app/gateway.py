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
from functools import partial
from typing import NamedTuple

import uvloop

from dominion.app.leftovers import adopt
from dominion.app.place import ALONE, Place, journals
from dominion.app.storage import warm
from dominion.app.wiring.inside import build
from dominion.app.worker import CUT, RETIRE, STOP, obey, report, take_seat
from dominion.app.world import SystemClock, open_world
from dominion.config import Settings
from dominion.credentials.keys import derive
from dominion.services.accounts.bootstrap import FirstStart, admin_digest, first_start
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

    def __init__(self, settings: Settings, place: Place = ALONE, *, local_model: bool = False) -> None:
        self._settings = settings
        self._place = place
        self._wants_local_model = local_model
        self._clock = SystemClock()
        self._opened = AsyncExitStack()
        self._warnings: list[str] = []

    async def start(self) -> Ready:
        """Open everything and listen. Raises ConfigProblem or StorageUnavailable; then nothing stays open."""
        settings, place = self._settings, self._place
        try:
            self._socket = place.listening or bind(settings.host, settings.port)
            self._opened.callback(self._socket.close)
            world = await open_world(
                settings, place, self._clock, self._opened, self._warnings, local_model=self._wants_local_model
            )
            recovered = await world.posting.start()
            after_posting = await self._opened.enter_async_context(AsyncExitStack())
            self._opened.push_async_callback(world.posting.close)
            if place.adopts:
                left = journals(settings.data_dir, besides=place)
                recovered += await adopt(left, world.ledger, world.attempts, world.leases)
            token_key = derive(world.sealing, "admin-token")
            given = settings.admin_token
            digest, minted = await admin_digest(
                world.kept,
                token_digest(given.reveal(), token_key) if given else None,
                lambda token: token_digest(token, token_key),
            )
            inside = build(world, settings, self._clock, AdminGate(digest, token_key, self._clock))
            self._opened.push_async_callback(inside.stood_in.close)
            await inside.pricing.refresh()
            await inside.budgets.begin()
            await inside.own_keys.load()
            if inside.leases is not None:
                await inside.leases.start()
                after_posting.push_async_callback(inside.leases.close)
            inside.alerting.start()
            after_posting.push_async_callback(inside.alerting.close)
            await inside.providers.start(self._opened)
            await inside.key_files.refresh()
            first = await first_start(world.kept, inside.accounts, minted)
        except BaseException:
            await self._opened.aclose()
            raise
        publishing = asyncio.create_task(inside.together.publish_always())
        self._opened.callback(publishing.cancel)
        self._health, self._together = inside.health, inside.together
        self._listener = Listener(inside.application, settings.drain_seconds)
        return Ready(
            _url(self._socket),
            list(dict.fromkeys(slot.row.id for slot in world.lineup.slots)),
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
        await self._together.publish()

    def stop(self) -> None:
        """Drain and end; called again: end at once."""
        if self._health.draining:
            self.cut()
        self.drain()

    def drain(self) -> None:
        """Say that it is not ready any more, let running requests end, and end; called again it changes nothing."""
        self._health.draining = True
        self._listener.leave(self._settings.drain_notice_seconds)

    def retire(self) -> None:
        """The same for one worker of several: the gateway as a whole stays ready."""
        self._listener.leave()

    def cut(self) -> None:
        """Cut off what still runs, and end."""
        self._listener.cut()


async def serve(
    settings: Settings, announce: Callable[[Ready], None], place: Place = ALONE, *, local_model: bool = False
) -> None:
    """Run a gateway until SIGINT or SIGTERM; `announce` is called when it answers. Raises as `Gateway.start`."""
    gateway = Gateway(settings, place, local_model=local_model)
    ready = await gateway.start()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, gateway.stop)
    if place.supervisor is not None:
        does = {STOP: gateway.drain, RETIRE: gateway.retire, CUT: gateway.cut}
        obeying = loop.create_task(obey(place.supervisor, does))
    allow_many_files()
    gc.collect()
    gc.freeze()  # what lives for ever need not be looked at again
    gc.set_threshold(*GC_THRESHOLDS)
    announce(ready)
    await gateway.run()
    if place.supervisor is not None:
        obeying.cancel()


def main(
    settings: Settings, announce: Callable[[Ready], None], place: Place = ALONE, *, local_model: bool = False
) -> None:
    """`serve` in an event loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, announce, place, local_model=local_model))


def seated(place: Place, settings: Settings) -> Place | None:
    """The place of a worker, which one that was started as a spare hears of only when it is needed. Blocks; None: it is
    needed no more. Raises ConfigProblem."""
    if place.number:
        return place
    warm(settings)
    assert place.supervisor is not None  # noqa: S101 - who started it holds the other end
    number = take_seat(place.supervisor)
    return place._replace(number=number) if number else None


def work(settings: Settings, place: Place) -> None:
    """`main` for one worker of several: its supervisor hears what the start came to."""
    assert place.supervisor is not None  # noqa: S101 - that is what makes it one of several
    main(settings, partial(report, place.supervisor), place)


def log_to_stderr(settings: Settings) -> None:
    """As this process and its workers do."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - only shown
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
