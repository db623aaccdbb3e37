"""Every implementation of the stores' contracts. A new one is one more entry of KINDS; the tests stay as they are."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from dominion.domain.stores import (
    AnalyticsStore,
    AttemptStore,
    AuditStore,
    LedgerStore,
    PeopleStore,
    PriceStore,
    RegistryStore,
    SettingsStore,
)
from dominion.stores.memory.accounts import MemoryLedger, MemoryPeople, MemorySettings
from dominion.stores.memory.analytics import MemoryAnalytics
from dominion.stores.memory.attempts import MemoryAttempts
from dominion.stores.memory.prices import MemoryPrices
from dominion.stores.memory.registry import MemoryAudit, MemoryRegistry
from dominion.stores.schema.tables import METADATA
from dominion.stores.sql.analytics import SqlAnalytics
from dominion.stores.sql.attempts import SqlAttempts
from dominion.stores.sql.audit import SqlAudit
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from dominion.stores.sql.people import SqlPeople
from dominion.stores.sql.prices import SqlPrices
from dominion.stores.sql.registry import SqlRegistry
from dominion.stores.sql.settings import SqlSettings

KINDS = ("memory", "sqlite", "postgres")
DATABASES = ("sqlite", "postgres")
AUDIT_KEY = b"a" * 32


class Stores(NamedTuple):
    """One implementation, freshly made and empty."""

    people: PeopleStore
    ledger: LedgerStore
    settings: SettingsStore
    registry: RegistryStore
    audit: AuditStore
    prices: PriceStore
    attempts: AttemptStore
    analytics: AnalyticsStore


Making = Callable[[], AbstractAsyncContextManager[Stores]]
"""Makes the stores of one implementation; again and again, each time they are empty."""


@asynccontextmanager
async def in_memory() -> AsyncIterator[Stores]:
    ledger = MemoryLedger()
    yield Stores(
        MemoryPeople(),
        ledger,
        MemorySettings(),
        MemoryRegistry(),
        MemoryAudit(AUDIT_KEY),
        MemoryPrices(),
        MemoryAttempts(ledger),
        MemoryAnalytics(ledger),
    )


@asynccontextmanager
async def in_database(target: Path | str) -> AsyncIterator[Stores]:
    database = Database.open(target)
    try:
        await database.write(emptied)
        yield Stores(
            SqlPeople(database),
            SqlLedger(database),
            SqlSettings(database),
            SqlRegistry(database),
            SqlAudit(database, AUDIT_KEY),
            SqlPrices(database),
            SqlAttempts(database),
            SqlAnalytics(database),
        )
    finally:
        await database.close()


def emptied(connection: Connection) -> None:
    """Delete every row."""
    for table in reversed(METADATA.sorted_tables):
        connection.execute(table.delete())
