"""How processes that share a database tell one another what they changed, so that nobody goes by what was true before.

A change is a row, written in the transaction of what it is about where a store does so itself (`tell`). Every process
reads the rows that are new to it each second, and on PostgreSQL as soon as the server calls. Never on the hot path.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text

from dominion.domain.errors import StorageUnavailable
from dominion.domain.stores import EVERYTHING
from dominion.stores.postgres import link as postgres
from dominion.stores.schema.changes import changes
from dominion.stores.sql.database import Database

LOG = logging.getLogger("dominion.changes")
POLL_SECONDS = 1.0
KEPT = 100_000
"""Rows; who has missed more of them must believe that everything has changed."""
CHANNEL = "dominion"
LOCK = 0x6368616E676573
"""Number of the advisory lock that makes rows appear in the order of their numbers."""

NEWEST = select(func.coalesce(func.max(changes.c.number), 0))
SINCE = select(changes).where(changes.c.number > bindparam("seen")).order_by(changes.c.number)
TELL = insert(changes).returning(changes.c.number)
FORGET = delete(changes).where(changes.c.number <= bindparam("last"))


def tell(connection: Connection, teller: str, topic: str, subject: str) -> None:
    """Tell of a change in the transaction that makes it, as its last statement: a lock is held until it ends."""
    remote = connection.dialect.name != "sqlite"
    if remote:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    number = connection.execute(TELL, {"teller": teller, "topic": topic, "subject": subject}).scalar_one()
    connection.execute(FORGET, {"last": number - KEPT})
    if remote:
        connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})


class SqlChanges:
    """`Changes` over a database. `start` it before anything is remembered that a change could make untrue."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database
        self._listeners: defaultdict[str, list[Callable[[str], Awaitable[None]]]] = defaultdict(list)
        self._seen = 0
        self._woken = asyncio.Event()
        self._failing = False
        self._tasks: list[asyncio.Task[None]] = []

    async def publish(self, topic: str, subject: str) -> None:
        """Tell every other process. Raises StorageUnavailable."""
        await self._database.write(lambda connection: tell(connection, self._database.teller, topic, subject))

    def listen(self, topic: str, heard: Callable[[str], Awaitable[None]]) -> None:
        """See `domain.stores.Changes`."""
        self._listeners[topic].append(heard)

    async def start(self) -> None:
        """Begin to listen to what comes from now on. Raises StorageUnavailable."""
        self._seen = await self._database.read(lambda connection: connection.execute(NEWEST).scalar_one())
        self._tasks = [asyncio.create_task(self._read_always())]
        if self._database.remote:
            self._tasks.append(asyncio.create_task(self._listen_always()))

    async def close(self) -> None:
        """Stop. Idempotent."""
        running = set(self._tasks)
        while running:  # the driver may lose a cancellation that comes together with news
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=1)

    async def _read_always(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self._read()
                self._failing = False
            except StorageUnavailable as error:
                if not self._failing:
                    LOG.warning("changes by other processes are not heard: %s", error.message)
                self._failing = True

    async def _read(self) -> None:
        """Hand out what is new. What a listener could not take is handed out again the next time."""
        seen = self._seen
        rows = await self._database.read(lambda connection: connection.execute(SINCE, {"seen": seen}).all())
        if not rows:
            return
        newest = rows[-1].number
        news = dict.fromkeys((row.topic, row.subject) for row in rows if row.teller != self._database.teller)
        if newest - seen >= KEPT:
            news = dict.fromkeys((topic, EVERYTHING) for topic in self._listeners)
        for topic, subject in news:
            for heard in self._listeners[topic]:
                await self._hand(heard, topic, subject)
        self._seen = newest

    @staticmethod
    async def _hand(heard: Callable[[str], Awaitable[None]], topic: str, subject: str) -> None:
        try:
            await heard(subject)
        except StorageUnavailable:
            raise
        except Exception:
            LOG.exception("a defect of the gateway: the change of %s %s was not taken in", topic, subject)

    async def _listen_always(self) -> None:
        """Without this the others would be heard a second later."""
        failed = False
        while True:
            try:
                await postgres.driver().listen(self._database.engine.url, CHANNEL, self._woken.set)
            except StorageUnavailable as error:
                LOG.log(logging.DEBUG if failed else logging.INFO, "%s %s", error.message, error.__cause__)
                failed = True
            await asyncio.sleep(POLL_SECONDS)
