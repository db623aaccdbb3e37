"""Every implementation of the stores' contracts. A new one is one more entry of STORES; the tests stay as they are."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from dominion.domain.stores import LedgerStore, PeopleStore, SettingsStore
from dominion.stores.database import Database
from dominion.stores.ledger import SqlLedger
from dominion.stores.memory import MemoryLedger, MemoryPeople, MemorySettings
from dominion.stores.people import SqlPeople
from dominion.stores.settings import SqlSettings


class Stores(NamedTuple):
    """One implementation, freshly made and empty."""

    people: PeopleStore
    ledger: LedgerStore
    settings: SettingsStore


@asynccontextmanager
async def in_memory(_folder: Path) -> AsyncIterator[Stores]:
    yield Stores(MemoryPeople(), MemoryLedger(), MemorySettings())


@asynccontextmanager
async def in_sqlite(folder: Path) -> AsyncIterator[Stores]:
    database = Database.open(folder / "gateway.db")
    try:
        yield Stores(SqlPeople(database), SqlLedger(database), SqlSettings(database))
    finally:
        await database.close()


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[Stores]]] = {"memory": in_memory, "sqlite": in_sqlite}
