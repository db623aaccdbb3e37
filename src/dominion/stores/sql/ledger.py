"""Ledger rows, their windows and their roll-ups in the database. The statements of the tables are the constants."""

from collections.abc import Container, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Table,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    tuple_,
    update,
)

from dominion.domain.allowances import WindowKey
from dominion.domain.analytics import Counted
from dominion.domain.records import Outcome, SummaryKey, Totals, UsageRow, UsageSummary
from dominion.rules.windows import iso_day
from dominion.stores.postgres.link import REPORT_SECONDS
from dominion.stores.schema.analytics import COUNTS, usage_customers, usage_days
from dominion.stores.schema.standings import leases, scope_limits
from dominion.stores.schema.tables import upsert, usage, usage_hours, usage_windows
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger_rows import add_rows
from dominion.stores.sums import Group, GroupSums, HourSums, add_up, customers_of, days_of, hours_of, windows_of

IDS_PER_QUERY = 500
"""Below the number of parameters that any build of SQLite takes."""

KNOWN_IDS = select(usage.c.id).where(usage.c.id.in_(bindparam("ids", expanding=True)))
NEWEST = select(usage).order_by(usage.c.at.desc(), usage.c.id.desc()).limit(bindparam("limit"))
BETWEEN = (
    select(usage)
    .where(usage.c.at >= bindparam("first"), usage.c.at < bindparam("end"))
    .order_by(usage.c.at, usage.c.id)
    .limit(bindparam("limit"))
)
NEWEST_OF_USER = NEWEST.where(usage.c.user_id == bindparam("user_id"))

SUMMED = (usage_hours, usage_windows, usage_days, usage_customers)
ADD_TO = {table: upsert(table, "{table}.{column} + excluded.{column}") for table in SUMMED}

WINDOW = select(usage_windows.c.requests, usage_windows.c.tokens, usage_windows.c.spend_nano).where(
    usage_windows.c.scope == bindparam("scope"),
    usage_windows.c.kind == bindparam("kind"),
    usage_windows.c.number == bindparam("number"),
)

LIMITED = select(scope_limits.c.scope)
POSTED = (
    update(leases)
    .where(
        leases.c.process_id == bindparam("process"),
        leases.c.scope == bindparam("of_scope"),
        leases.c.kind == bindparam("of_kind"),
        leases.c.number == bindparam("of_number"),
    )
    .values(
        posted_requests=leases.c.posted_requests + bindparam("more_requests"),
        posted_tokens=leases.c.posted_tokens + bindparam("more_tokens"),
        posted_spend_nano=leases.c.posted_spend_nano + bindparam("more_spend_nano"),
    )
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
NEXT_HOUR = select(func.min(usage_hours.c.hour)).where(usage_hours.c.hour >= bindparam("hour"))
SUMMARY_OF_DAY = SUMMARY.where(
    tuple_(usage_hours.c.user_id, usage_hours.c.provider, usage_hours.c.model)
    > tuple_(bindparam("user_id"), bindparam("provider"), bindparam("model"))
).limit(bindparam("limit"))
OVERALL = select(*(cast(func.coalesce(func.sum(usage_days.c[name]), 0), BigInteger) for name in COUNTS)).where(
    usage_days.c.day >= bindparam("first"), usage_days.c.day <= bindparam("last")
)
SUMMARY_OF_USER = SUMMARY.where(usage_hours.c.user_id == bindparam("user_id"))


class SqlLedger:
    """`LedgerStore` over a database. `process_id` names the process whose leases the rows use up, "": nothing is
    leased."""

    def __init__(self, database: Database, process_id: str = "") -> None:
        """Over an open database."""
        self._database = database
        self.process_id = process_id
        self._add_rows = add_rows(database.engine.dialect)

    async def add(self, rows: Sequence[UsageRow]) -> int:
        """Add rows and their sums in one transaction; rows whose id exists are left alone. Returns how many were new.

        A batch of some hundred rows is cheapest: the commit costs as much as all of them.
        """
        try:
            return await self._database.write(lambda connection: self._add_new(connection, rows))
        except _SomeKnownError:  # after a replay; the whole batch was rolled back
            return await self._database.write(lambda connection: self.add_in(connection, rows))

    async def totals(self, user_id: str, day: int, month: int) -> tuple[Totals, Totals]:
        """Sums of one UTC day (days since the epoch) and one month (year * 12 + month - 1)."""
        today, this_month = await self.windows([(f"user:{user_id}", "d", day), (f"user:{user_id}", "m", month)])
        return today, this_month

    async def windows(self, keys: Sequence[WindowKey]) -> list[Totals]:
        """Sums of any windows."""
        return await self._database.read(lambda connection: [window(connection, key) for key in keys])

    async def summary(self, *, user_id: str | None, first_day: int, last_day: int) -> list[UsageSummary]:
        """Sums by day, user, provider and model, in this order, from roll-ups; both days are included."""
        statement = SUMMARY if user_id is None else SUMMARY_OF_USER
        values = {"first_hour": first_day * 24, "end_hour": (last_day + 1) * 24, "user_id": user_id}
        return await self._database.read(
            lambda connection: [
                UsageSummary(iso_day(day), *rest) for day, *rest in connection.execute(statement, values)
            ],
            seconds=REPORT_SECONDS,
        )

    async def summary_page(self, first_day: int, last_day: int, after: SummaryKey, limit: int) -> list[UsageSummary]:
        """The same of all users, as far as they come after a key: so many of them, read day by day."""

        def work(connection: Connection) -> list[UsageSummary]:
            found: list[UsageSummary] = []
            key = max(after, (first_day, "", "", ""))
            while len(found) < limit:
                hour = connection.execute(NEXT_HOUR, {"hour": key[0] * 24}).scalar()
                if hour is None or hour // 24 > last_day:
                    break
                key = max(key, (hour // 24, "", "", ""))
                values = dict(zip(("first_hour", "user_id", "provider", "model"), (key[0] * 24, *key[1:]), strict=True))
                values |= {"end_hour": (key[0] + 1) * 24, "limit": limit - len(found)}
                rows = connection.execute(SUMMARY_OF_DAY, values)
                found += (UsageSummary(iso_day(day), *rest) for day, *rest in rows)
                key = (key[0] + 1, "", "", "")
            return found

        return await self._database.read(work, seconds=REPORT_SECONDS)

    async def overall(self, first_day: int, last_day: int) -> Counted:
        """Sums of all users over days, both included."""
        values = {"first": first_day, "last": last_day}
        sums = await self._database.read(lambda connection: list(connection.execute(OVERALL, values).one()))
        return Counted("", *sums)

    async def rows(self, *, user_id: str | None, limit: int) -> list[UsageRow]:
        """The newest rows first."""
        statement = NEWEST if user_id is None else NEWEST_OF_USER
        values = {"limit": limit, "user_id": user_id}
        return await self._database.read(
            lambda connection: [UsageRow(*row) for row in connection.execute(statement, values)]
        )

    async def rows_between(self, first: int, end: int, *, limit: int) -> list[UsageRow]:
        """Rows of a period in the order of time, then id; `first` and `end` (excluded) are epoch milliseconds."""
        values = {"first": first, "end": end, "limit": limit}
        return await self._database.read(
            lambda connection: [UsageRow(*row) for row in connection.execute(BETWEEN, values)], seconds=REPORT_SECONDS
        )

    def add_in(self, connection: Connection, rows: Sequence[UsageRow]) -> int:
        """Add those rows that are new, inside a transaction of somebody else. Returns how many were."""
        new: dict[str, UsageRow] = {}
        for row in rows:
            new.setdefault(row.id, row)
        for known in _known(connection, new):
            del new[known]
        return self._add_new(connection, list(new.values()))

    def _add_new(self, connection: Connection, rows: Sequence[UsageRow]) -> int:
        """Add rows that are all new, and their sums. Raises _SomeKnownError when one is not."""
        if self._add_rows(connection, rows) != len(rows):
            raise _SomeKnownError
        groups: dict[Group, GroupSums] = {}
        add_up(rows, groups)
        _add_sums(connection, usage_hours, hours_of(groups))
        limited = frozenset(connection.execute(LIMITED).scalars())
        windows = windows_of(groups, limited)
        _add_sums(connection, usage_windows, windows)
        _add_sums(connection, usage_days, days_of(groups))
        _add_sums(connection, usage_customers, customers_of(groups))
        if self.process_id:
            self._use_up_leases(connection, rows, limited)
        return len(rows)

    def _use_up_leases(self, connection: Connection, rows: Sequence[UsageRow], limited: Container[str]) -> None:
        """What this process's own requests used is no longer out: it is settled, by the same commit."""
        groups: dict[Group, GroupSums] = {}
        add_up((row for row in rows if row.outcome < Outcome.LOST), groups)
        posted = [
            _posted(self.process_id, *each) for each in sorted(windows_of(groups, limited).items(), key=itemgetter(0))
        ]
        if posted:
            connection.execute(POSTED, posted)


class _SomeKnownError(Exception):
    """Not every row of a batch was new. It never leaves this file."""


def _posted(process_id: str, key: WindowKey, totals: Totals) -> dict[str, str | int]:
    scope, kind, number = key
    more = {f"more_{name}": value for name, value in asdict(totals).items()}
    return {"process": process_id, "of_scope": scope, "of_kind": kind, "of_number": number, **more}


def _add_sums(connection: Connection, table: Table, sums: Mapping[Any, Struct]) -> None:
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


def window(connection: Connection, key: WindowKey) -> Totals:
    """The sums of one window."""
    row = connection.execute(WINDOW, dict(zip(("scope", "kind", "number"), key, strict=True))).first()
    return Totals(*row) if row else Totals()
