"""`PriceStore` without a disk, for tests of the floors above."""

from collections.abc import Callable

from msgspec.structs import replace

from dominion.domain.prices import PriceRow
from dominion.stores.memory.accounts import nothing


class MemoryPrices:
    """`PriceStore` in a list. `before` is called first in every operation and may raise."""

    def __init__(self, before: Callable[[], None] = nothing) -> None:
        """Empty."""
        self._before = before
        self._rows: list[PriceRow] = []

    async def version(self) -> int:
        """The number of the newest row, 0: there is none."""
        self._before()
        return len(self._rows)

    async def rows(self) -> list[PriceRow]:
        """All of them, by number."""
        self._before()
        return list(self._rows)

    async def add(self, row: PriceRow) -> PriceRow:
        """The row with its number."""
        self._before()
        self._rows.append(replace(row, number=len(self._rows) + 1))
        return self._rows[-1]
