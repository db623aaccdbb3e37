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
from dominion.stores.analytics import SqlAnalytics
from dominion.stores.attempts import SqlAttempts
from dominion.stores.audit import SqlAudit
from dominion.stores.database import Database
from dominion.stores.ledger import SqlLedger
from dominion.stores.memory import MemoryLedger, MemoryPeople, MemorySettings
from dominion.stores.memory_analytics import MemoryAnalytics
from dominion.stores.memory_attempts import MemoryAttempts
from dominion.stores.memory_prices import MemoryPrices
from dominion.stores.memory_registry import MemoryAudit, MemoryRegistry
from dominion.stores.people import SqlPeople
from dominion.stores.prices import SqlPrices
from dominion.stores.registry import SqlRegistry
from dominion.stores.schema import METADATA
from dominion.stores.settings import SqlSettings

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
