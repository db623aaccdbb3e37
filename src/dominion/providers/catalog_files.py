"""Reads the rows of catalog.toml and models.toml. Reads nothing of the operator's."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from dominion.domain.providers import ModelRow, ProviderRow
from dominion.domain.usage import Price
from dominion.providers.price_file import DatedPrice
from dominion.rules.prices.pricing import pico_per_token

_EPOCH = date(1970, 1, 1)


class PriceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices as people write them: US dollars per million tokens, as decimal strings.

    Without `cache_write_1h`, one-hour writes cost what other writes cost.
    """

    input: str
    output: str
    cache_read: str | None = None
    cache_write: str | None = None
    cache_write_1h: str | None = None

    def price(self) -> Price:
        """Raises ValueError for what is not an amount."""
        read, write, hour = (
            None if text is None else pico_per_token(text)
            for text in (self.cache_read, self.cache_write, self.cache_write_1h or self.cache_write)
        )
        return Price(
            input=pico_per_token(self.input),
            output=pico_per_token(self.output),
            cache_read=read,
            cache_write=write,
            cache_write_1h=hour,
        )


class _DatedTable(PriceTable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    start: date | None = msgspec.field(name="from", default=None)

    def dated(self) -> DatedPrice:
        return DatedPrice(self.price(), first_day=None if self.start is None else (self.start - _EPOCH).days)


def read_providers() -> list[ProviderRow]:
    """The rows of catalog.toml, in its order."""
    return [msgspec.convert(row, ProviderRow) for row in _tables("catalog.toml")["provider"]]


def read_other_apis() -> list[ProviderRow]:
    """Rows of catalog.toml that stand beside the one of the same id: another API of it, with `model_prefixes`."""
    return [msgspec.convert(row, ProviderRow) for row in _tables("catalog.toml")["other_api"]]


def read_models() -> list[tuple[ModelRow, tuple[DatedPrice, ...]]]:
    """The rows of models.toml, each with its own prices, oldest first. `ModelRow.price` is the newest of them."""
    rows = []
    for table in _tables("models.toml")["model"]:
        prices = tuple(each.dated() for each in msgspec.convert(table.pop("prices", []), list[_DatedTable]))
        row = msgspec.convert(table, ModelRow)
        rows.append((msgspec.structs.replace(row, price=prices[-1].price) if prices else row, prices))
    return rows


def _tables(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(name).read_text("utf-8"))
