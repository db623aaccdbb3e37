"""Attempts that failed, in the database. The statements of the table are the constants."""

from collections.abc import Sequence

from msgspec.structs import asdict
from sqlalchemy import bindparam, select

from dominion.domain.records import AttemptRecord, UsageRow
from dominion.stores.schema.money import attempts
from dominion.stores.schema.tables import upsert, usage
from dominion.stores.sql.database import Database

ADD = upsert(attempts, "{table}.{column}")  # one that is there stays as it is
OF_REQUEST = select(attempts).where(attempts.c.request_id == bindparam("request_id")).order_by(attempts.c.number)
SINCE = (
    select(attempts)
    .where(attempts.c.at >= bindparam("at"))
    .order_by(attempts.c.at.desc(), attempts.c.request_id.desc(), attempts.c.number.desc())
    .limit(bindparam("limit"))
)
ROWS = select(usage).where(usage.c.id.in_(bindparam("ids", expanding=True)))


class SqlAttempts:
    """`AttemptStore` over a database."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database

    async def add(self, added: Sequence[AttemptRecord]) -> None:
        """Add them; those whose request and number exist are left alone."""
        values = [asdict(attempt) for attempt in added]
        await self._database.write(lambda connection: connection.execute(ADD, values))

    async def of_request(self, request_id: str) -> list[AttemptRecord]:
        """Those of a request, in their order."""
        return await self._database.read(
            lambda connection: [
                AttemptRecord(*row) for row in connection.execute(OF_REQUEST, {"request_id": request_id})
            ]
        )

    async def since(self, at: int, limit: int) -> list[AttemptRecord]:
        """Those that ended at `at` (epoch milliseconds) or later, newest first."""
        return await self._database.read(
            lambda connection: [AttemptRecord(*row) for row in connection.execute(SINCE, {"at": at, "limit": limit})]
        )

    async def rows(self, request_ids: Sequence[str]) -> list[UsageRow]:
        """The ledger's rows of these requests, in any order."""
        return await self._database.read(
            lambda connection: [UsageRow(*row) for row in connection.execute(ROWS, {"ids": list(request_ids)})]
        )
