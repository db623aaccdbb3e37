"""Opens what money and accounts are kept in, as the settings choose it: journal, database, and what processes share."""

from contextlib import AsyncExitStack
from typing import Literal, NamedTuple

from sqlalchemy import make_url

from dominion.app.place import JOURNAL, Place
from dominion.config import Settings
from dominion.domain.errors import ConfigProblem
from dominion.domain.stores import Rates
from dominion.services.limits.committing import CommittingPosting
from dominion.services.limits.posting import Posting
from dominion.stores.files.journal import FileJournal
from dominion.stores.files.process_id import process_id
from dominion.stores.postgres import link as postgres
from dominion.stores.sql.allowances import SqlAllowances
from dominion.stores.sql.attempts import SqlAttempts
from dominion.stores.sql.changes import SqlChanges
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger

MIB = 1 << 20


class Storage(NamedTuple):
    """Opened. `rates` None: each process counts for itself. `leases` None: nobody shares the database."""

    database: Database
    changes: SqlChanges
    rates: Rates | None
    ledger: SqlLedger
    attempts: SqlAttempts
    posting: Posting
    leases: SqlAllowances | None


async def open_storage(settings: Settings, place: Place, opened: AsyncExitStack) -> Storage:
    """Open it; `opened` closes each when the gateway ends. Raises ConfigProblem or StorageUnavailable."""
    mode: Literal["journal", "fsync"] = "fsync" if settings.durability == "journal+fsync" else "journal"
    journal = FileJournal(
        place.folder(settings.data_dir) / JOURNAL, mode=mode, max_bytes=settings.journal_limit_mb * MIB
    )
    opened.callback(journal.close)
    database = Database.open(settings.database_url.reveal() if settings.database_url else settings.sqlite_path)
    opened.push_async_callback(database.close)
    changes = SqlChanges(database)
    opened.push_async_callback(changes.close)
    await changes.start()
    shared = database.remote or bool(place.number)
    ledger = SqlLedger(database, process_id(place.folder(settings.data_dir) / JOURNAL) if shared else "")
    attempts = SqlAttempts(database)
    leases = SqlAllowances(database, ledger) if shared else None
    posting = CommittingPosting if settings.durability == "database" else Posting
    return Storage(
        database, changes, _rates(settings, opened), ledger, attempts, posting(journal, ledger, attempts), leases
    )


def warm(settings: Settings) -> None:
    """Import what opening PostgreSQL imports late; connects to nothing. Raises ConfigProblem."""
    if settings.database_url is not None:
        postgres.engine(make_url(settings.database_url.reveal()), 1, "").dispose()


def _rates(settings: Settings, opened: AsyncExitStack) -> Rates | None:
    if settings.redis_url is None:
        return None
    try:
        # With the extra only: a start without it must not wait for its import.
        from dominion.stores.redis.rates import RedisRates  # noqa: PLC0415
    except ImportError as error:
        raise ConfigProblem(
            "REDIS_URL is set, and the Python package redis is not installed.",
            action="Install the extra `cluster`: pip install 'dominion-gateway[cluster]'.",
        ) from error
    rates = RedisRates(settings.redis_url.reveal())
    opened.push_async_callback(rates.close)
    return rates
