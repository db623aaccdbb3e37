"""Adds rows to the ledger's table, with the statement that is cheapest for this process on each kind of database.

Knows no sums and opens no transaction.
"""

import re
from collections.abc import Callable, Sequence
from itertools import chain

import msgspec
from msgspec.structs import astuple
from sqlalchemy import Connection, Dialect, insert

from dominion.domain.records import UsageRow
from dominion.stores.schema.tables import usage

ROWS_PER_STATEMENT = 50
"""SQLite's driver gives up the interpreter's lock for each statement, and must win it back from the event loop."""
CASTS = {int: "bigint", bool: "boolean", str: "text"}
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""In JSON, and not an escaped backslash with five characters behind it."""

AddRows = Callable[[Connection, Sequence[UsageRow]], int]
"""Adds those whose id is new; returns how many were."""


def add_rows(dialect: Dialect) -> AddRows:
    """How rows are added to a database of this kind."""
    if dialect.name != "sqlite":
        return _as_json
    values = str(insert(usage).compile(dialect=dialect))
    insert_into, _, one_row = values.partition(" VALUES ")

    def add(connection: Connection, rows: Sequence[UsageRow]) -> int:
        new = 0
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            chunk = rows[start : start + ROWS_PER_STATEMENT]
            statement = f"{insert_into} VALUES {', '.join([one_row] * len(chunk))} ON CONFLICT DO NOTHING"
            new += connection.exec_driver_sql(statement, tuple(chain.from_iterable(map(astuple, chunk)))).rowcount
        return new

    return add


def _as_json(connection: Connection, rows: Sequence[UsageRow]) -> int:
    """PostgreSQL's driver takes fifty times longer for a thousand parameters than for one that holds them all."""
    if not rows:
        return 0
    data = msgspec.json.encode(rows)
    if b"\\u0000" in data:  # which PostgreSQL cannot keep, and a name from a caller must not stop a batch
        data = NUL.sub(rb"\1\\ufffd", data)
    return connection.exec_driver_sql(_FROM_JSON, (data.decode(),)).rowcount


def _from_json() -> str:
    """A row is a JSON array: what kind of record it is, then the columns in their order."""
    names = ", ".join(column.name for column in usage.columns)
    values = ", ".join(
        f"CAST(each ->> {number} AS {CASTS[column.type.python_type]})"
        for number, column in enumerate(usage.columns, start=1)
    )
    return (
        f"INSERT INTO usage ({names}) SELECT {values} "  # noqa: S608 - names of our own table
        "FROM jsonb_array_elements(CAST(%s AS jsonb)) AS each ON CONFLICT DO NOTHING"
    )


_FROM_JSON = _from_json()
