"""The operator's prices, in every implementation: rows are added and read, in the order of their numbers."""

import asyncio

from msgspec.structs import replace

from dominion.domain.prices import PriceRow
from dominion.domain.usage import Price
from dominion.stores.sql.database import Database
from dominion.stores.sql.prices import SqlPrices
from tests.stores.implementations import Stores

ROW = PriceRow(
    provider="openai",
    model="gpt-4o",
    valid_from=1_790_000_000,
    price=Price(input=2**40, output=3, cache_read=4, cache_write=5, cache_write_1h=6),
    note="Größe ≠ 0",
    created_at=1_790_000_001,
)


async def test_a_row_is_read_as_it_was_written_with_its_number(stores: Stores) -> None:
    plain = replace(ROW, model="*", price=Price(input=0, output=0), note="")
    assert await stores.prices.add(ROW) == replace(ROW, number=1)
    assert await stores.prices.add(plain) == replace(plain, number=2)
    assert await stores.prices.rows() == [replace(ROW, number=1), replace(plain, number=2)]


async def test_the_version_is_the_number_of_the_newest_row(stores: Stores) -> None:
    assert await stores.prices.version() == 0
    assert await stores.prices.rows() == []
    for number in (1, 2, 3):
        await stores.prices.add(ROW)
        assert await stores.prices.version() == number


async def test_the_same_price_may_be_written_again(stores: Stores) -> None:
    first, second = [await stores.prices.add(ROW) for _ in range(2)]
    assert (first.number, second.number) == (1, 2)


async def test_two_processes_that_write_at_once_get_numbers_without_a_gap(two_processes: list[Database]) -> None:
    one, other = (SqlPrices(database) for database in two_processes)
    added = await asyncio.gather(*[store.add(ROW) for _ in range(20) for store in (one, other)])
    assert sorted(row.number for row in added) == list(range(1, 41))
    assert await one.rows() == await other.rows() == [replace(ROW, number=number) for number in range(1, 41)]
