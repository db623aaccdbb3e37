"""Ledger rows, their windows and their roll-ups in the database. The statements of the tables are the constants."""

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter

from msgspec.structs import asdict, astuple
from sqlalchemy import BigInteger, Connection, Integer, Table, bindparam, cast, func, insert, literal_column, select

from dominion.domain.records import Totals, UsageRow, UsageSummary
from dominion.rules.windows import iso_day
from dominion.stores.database import Database
from dominion.stores.schema import upsert, usage, usage_hours, usage_windows
from dominion.stores.sums import Hour, HourSums, Window, add_up, scope_of_user, windows_of

IDS_PER_QUERY = 500
"""Below the number of parameters that any build of SQLite takes."""

ROWS_PER_STATEMENT = 50
"""SQLite's driver gives up the interpreter's lock for each statement, and must win it back from the event loop."""

KNOWN_IDS = select(usage.c.id).where(usage.c.id.in_(bindparam("ids", expanding=True)))
ADD_ROWS = insert(usage)
NEWEST = select(usage).order_by(usage.c.at.desc(), usage.c.id.desc()).limit(bindparam("limit"))
NEWEST_OF_USER = NEWEST.where(usage.c.user_id == bindparam("user_id"))

ADD_TO = {table: upsert(table, "{table}.{column} + excluded.{column}") for table in (usage_hours, usage_windows)}

WINDOW = select(usage_windows.c.requests, usage_windows.c.tokens, usage_windows.c.spend_nano).where(
    usage_windows.c.scope == bindparam("scope"),
    usage_windows.c.kind == bindparam("kind"),
    usage_windows.c.number == bindparam("number"),
)

_DAY = (usage_hours.c.hour // literal_column("24", Integer)).label("day")
_GROUP = (_DAY, usage_hours.c.user_id, usage_hours.c.provider, usage_hours.c.model)
_SUMS = (cast(func.sum(usage_hours.c[name]), BigInteger) for name in HourSums.__struct_fields__)
SUMMARY = (
    select(*_GROUP, *_SUMS)
    .where(usage_hours.c.hour >= bindparam("first_hour"), usage_hours.c.hour < bindparam("end_hour"))
    .group_by(*_GROUP)
    .order_by(*_GROUP)
)
SUMMARY_OF_USER = SUMMARY.where(usage_hours.c.user_id == bindparam("user_id"))


class SqlLedger:
    """`LedgerStore` over a database."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database
        self._add_rows = str(ADD_ROWS.compile(dialect=database.engine.dialect))

    async def add(self, rows: Sequence[UsageRow]) -> int:
        """Add rows and their sums in one transaction; rows whose id exists are left alone. Returns how many were new.

        A batch of some hundred rows is cheapest: the commit costs as much as all of them.
        """
        try:
            return await self._database.write(lambda connection: _add_new(connection, rows, self._add_rows))
        except _SomeKnownError:  # after a replay; the whole batch was rolled back
            return await self._database.write(lambda connection: _add(connection, rows, self._add_rows))

    async def totals(self, user_id: str, day: int, month: int) -> tuple[Totals, Totals]:
        """Sums of one UTC day (days since the epoch) and one month (year * 12 + month - 1)."""
        scope = scope_of_user(user_id)

        def work(connection: Connection) -> tuple[Totals, Totals]:
            return _window(connection, scope, "d", day), _window(connection, scope, "m", month)

        return await self._database.read(work)

    async def summary(self, *, user_id: str | None, first_day: int, last_day: int) -> list[UsageSummary]:
        """Sums by day, user, provider and model, in this order, from roll-ups; both days are included."""
        statement = SUMMARY if user_id is None else SUMMARY_OF_USER
        values = {"first_hour": first_day * 24, "end_hour": (last_day + 1) * 24, "user_id": user_id}
        return await self._database.read(
            lambda connection: [
                UsageSummary(iso_day(day), *rest) for day, *rest in connection.execute(statement, values)
            ]
        )

    async def rows(self, *, user_id: str | None, limit: int) -> list[UsageRow]:
        """The newest rows first."""
        statement = NEWEST if user_id is None else NEWEST_OF_USER
        values = {"limit": limit, "user_id": user_id}
        return await self._database.read(
            lambda connection: [UsageRow(*row) for row in connection.execute(statement, values)]
        )


class _SomeKnownError(Exception):
    """Not every row of a batch was new. It never leaves this file."""


def _add(connection: Connection, rows: Sequence[UsageRow], add_rows: str) -> int:
    """Add those rows that are new."""
    new: dict[str, UsageRow] = {}
    for row in rows:
        new.setdefault(row.id, row)
    for known in _known(connection, new):
        del new[known]
    return _add_new(connection, list(new.values()), add_rows)


def _add_new(connection: Connection, rows: Sequence[UsageRow], add_rows: str) -> int:
    """Add rows that are all new, and their sums. Raises _SomeKnownError when one is not."""
    insert_into, _, one_row = add_rows.partition(" VALUES ")
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        chunk = rows[start : start + ROWS_PER_STATEMENT]
        statement = f"{insert_into} VALUES {', '.join([one_row] * len(chunk))} ON CONFLICT DO NOTHING"
        values = tuple(chain.from_iterable(map(astuple, chunk)))
        if connection.exec_driver_sql(statement, values).rowcount != len(chunk):
            raise _SomeKnownError
    hours: dict[Hour, HourSums] = {}
    add_up(rows, hours)
    _add_sums(connection, usage_hours, hours)
    _add_sums(connection, usage_windows, windows_of(hours))
    return len(rows)


def _add_sums(connection: Connection, table: Table, sums: Mapping[Hour, HourSums] | Mapping[Window, Totals]) -> None:
    """Add to a table whose primary key is the key of the mapping. Sorted, so that two writers never deadlock."""
    names = [column.name for column in table.primary_key]
    rows = [
        dict(zip(names, key, strict=True)) | asdict(value) for key, value in sorted(sums.items(), key=itemgetter(0))
    ]
    if rows:
        connection.execute(ADD_TO[table], rows)


def _known(connection: Connection, ids: dict[str, UsageRow]) -> list[str]:
    """Those ids that the ledger has already."""
    known: list[str] = []
    remaining = iter(ids)
    while chunk := list(islice(remaining, IDS_PER_QUERY)):
        known += connection.execute(KNOWN_IDS, {"ids": chunk}).scalars()
    return known


def _window(connection: Connection, scope: str, kind: str, number: int) -> Totals:
    row = connection.execute(WINDOW, {"scope": scope, "kind": kind, "number": number}).first()
    return Totals(*row) if row else Totals()
