"""What the program asks of psycopg itself. Needs the extra `cluster`; load it by `postgres.driver`, never directly."""

import asyncio
from collections.abc import Callable
from typing import Any

from psycopg import AsyncConnection, Connection, Error
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import URL

from dominion.domain.errors import StorageUnavailable


async def listen(url: URL, channel: str, heard: Callable[[], None]) -> None:
    """Call `heard` now and for each notification of a channel, on a connection of its own, as long as that lasts.

    `url` is that of an engine. Raises StorageUnavailable when it has ended or cannot be made.
    """
    there: dict[str, Any] = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
    try:
        async with await AsyncConnection.connect(autocommit=True, **there) as connection:
            await connection.execute(f'LISTEN "{channel}"'.encode())
            heard()  # what came while nobody listened
            while True:
                await _readable(connection.fileno())
                async for _ in connection.notifies(timeout=0):
                    heard()
    except Error as error:
        raise StorageUnavailable("The connection that hears of changes is gone.") from error


async def _readable(descriptor: int) -> None:
    """Wait until something has come. The driver's own wait wakes ten times a second."""
    loop, come = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, come.set)
    try:
        await come.wait()
    finally:
        loop.remove_reader(descriptor)


class WithoutNul(StrDumperUnknown):
    """Texts as PostgreSQL can keep them."""

    def dump(self, obj: str) -> Any:
        """The text with each NUL replaced."""
        return super().dump(obj.replace("\0", "\ufffd"))


def keep_no_nul(connection: Connection[Any]) -> None:
    """A name from a caller or a provider must not stop a batch of rows."""
    connection.adapters.register_dumper(str, WithoutNul)
