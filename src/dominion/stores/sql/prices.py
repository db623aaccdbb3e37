"""The operator's prices in the database: rows are added and read; nothing here changes or deletes one.

The other processes are told of each ("price").
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict, replace
from sqlalchemy import Connection, func, insert, select

from dominion.domain.prices import PriceRow
from dominion.domain.usage import Price
from dominion.stores.schema.money import price_rows
from dominion.stores.schema.registry import change_counters
from dominion.stores.schema.tables import upsert
from dominion.stores.sql.changes import tell
from dominion.stores.sql.database import Database

COUNTER = "prices"
NEXT = upsert(change_counters, "{table}.{column} + 1")
NUMBER = select(change_counters.c.value).where(change_counters.c.name == COUNTER)
NEWEST = select(func.coalesce(func.max(price_rows.c.number), 0))
ROWS = select(price_rows).order_by(price_rows.c.number)
ADD = insert(price_rows)
PRICES = ("input", "output", "cache_read", "cache_write", "cache_write_1h")


class SqlPrices:
    """`PriceStore` over a database."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database

    async def version(self) -> int:
        """The number of the newest row, 0: there is none."""
        return int(await self._database.read(lambda connection: connection.execute(NEWEST).scalar_one()))

    async def rows(self) -> list[PriceRow]:
        """All of them, by number."""
        return await self._database.read(lambda connection: [_row(row) for row in connection.execute(ROWS)])

    async def add(self, row: PriceRow) -> PriceRow:
        """The row with its number. Taking the next number locks the counter until the commit, so that rows become
        visible in the order of their numbers."""

        def work(connection: Connection) -> PriceRow:
            connection.execute(NEXT, {"name": COUNTER, "value": 1})
            numbered = replace(row, number=connection.execute(NUMBER).scalar_one())
            connection.execute(ADD, _columns(numbered))
            tell(connection, self._database.teller, "price", f"{row.provider}/{row.model}")
            return numbered

        return await self._database.write(work)


def _columns(row: PriceRow) -> dict[str, Any]:
    columns = asdict(row)
    price = columns.pop("price")
    return columns | {name: getattr(price, name) for name in PRICES}


def _row(row: Sequence[Any]) -> PriceRow:
    number, provider, model, valid_from, *prices, note, created_at = row
    return PriceRow(
        provider=provider,
        model=model,
        valid_from=valid_from,
        price=Price(*prices),
        note=note,
        created_at=created_at,
        number=number,
    )
