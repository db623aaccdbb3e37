"""Writes the price file from the package genai-prices: `python -m dominion.providers.price_export FILE`.

Runs as a process of its own, because that package costs half a second and 50 MB; the server must never import it.
"""

import os
import sys
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import msgspec
from genai_prices import types as source
from genai_prices.data import providers

from dominion.domain.usage import Price
from dominion.providers.price_file import (
    AllOf,
    AnyOf,
    Clause,
    Contains,
    DatedPrice,
    EndsWith,
    Equals,
    ModelPrices,
    ProviderPrices,
    Regex,
    StartsWith,
)

_PICO_PER_USD_PER_MILLION = 1_000_000
_NANO_PER_USD_PER_THOUSAND = 1_000_000
_EPOCH = date(1970, 1, 1)


def export() -> dict[str, ProviderPrices]:
    """All prices of the source that this gateway can charge by."""
    return {
        provider.id: ProviderPrices(
            models=tuple(_models(provider)), fallback=tuple(provider.fallback_model_providers or ())
        )
        for provider in providers
    }


def _models(provider: source.Provider) -> Iterator[ModelPrices]:
    for model in provider.models:
        rows = model.prices if isinstance(model.prices, list) else [source.ConditionalPrice(prices=model.prices)]
        complete = all(_is_complete(row.prices) for row in rows)
        yield ModelPrices(_clause(model.match), tuple(_dated(row) for row in rows) if complete else ())


def _is_complete(prices: source.ModelPrice) -> bool:
    """Models billed by the hour or the picture have no token prices: they stay unpriced, never half priced."""
    return prices.input_mtok is not None and prices.output_mtok is not None


def _dated(row: source.ConditionalPrice) -> DatedPrice:
    price = _price(row.prices)
    match row.constraint:
        case source.StartDateConstraint(start_date=start):
            return DatedPrice(price, first_day=(start - _EPOCH).days)
        case source.TimeOfDateConstraint(start_time=start, end_time=end):
            seconds = [clock.hour * 3600 + clock.minute * 60 + clock.second for clock in (start, end)]
            return DatedPrice(price, daily=(seconds[0], seconds[1]))
    return DatedPrice(price)


def _price(prices: source.ModelPrice) -> Price:
    """One Price per tier, the dearer ones nested: each holds for the whole request above its threshold."""
    tiered = [value for value in vars(prices).values() if isinstance(value, source.TieredPrices)]
    starts = sorted({tier.start for value in tiered for tier in value.tiers})
    price = None
    for start, above in zip([None, *starts][::-1], [None, *starts[::-1]], strict=True):
        price = _tier(prices, start, above, price)
    if price is None:
        raise AssertionError("there is always a base tier")
    return price


def _tier(prices: source.ModelPrice, start: int | None, above: int | None, above_price: Price | None) -> Price:
    def pico(key: str) -> int | None:
        value = _in_tier(getattr(prices, key), start)
        return None if value is None else _whole(value * _PICO_PER_USD_PER_MILLION)

    cache_write = pico("cache_write_mtok")
    cache_write_1h = pico("cache_write_1h_mtok")
    return Price(
        input=pico("input_mtok") or 0,
        # The few models that price reasoning apart are charged the dearer of the two for all output.
        output=max(pico("output_mtok") or 0, pico("output_reasoning_mtok") or 0),
        cache_read=pico("cache_read_mtok"),
        cache_write=cache_write,
        cache_write_1h=cache_write if cache_write_1h is None else cache_write_1h,
        request=_whole((_in_tier(prices.requests_kcount, start) or Decimal(0)) * _NANO_PER_USD_PER_THOUSAND),
        above=above,
        above_price=above_price,
    )


def _in_tier(value: Decimal | source.TieredPrices | None, start: int | None) -> Decimal | None:
    if not isinstance(value, source.TieredPrices):
        return value
    return next((tier.price for tier in reversed(value.tiers) if start is not None and tier.start <= start), value.base)


def _whole(value: Decimal) -> int:
    """The source computed a few prices with floats (0.18000000000000002); a pico-dollar is finer than any of them."""
    return int(value.quantize(Decimal(1), ROUND_HALF_EVEN))


def _clause(clause: source.MatchLogic) -> Clause:  # noqa: PLR0911 - one for each kind
    match clause:
        case source.ClauseEquals(equals=text):
            return Equals(text.lower())
        case source.ClauseStartsWith(starts_with=text):
            return StartsWith(text.lower())
        case source.ClauseEndsWith(ends_with=text):
            return EndsWith(text.lower())
        case source.ClauseContains(contains=text):
            return Contains(text.lower())
        case source.ClauseRegex(regex=pattern):
            return Regex(pattern)
        case source.ClauseOr(or_=clauses):
            return AnyOf(tuple(_clause(each) for each in clauses))
        case source.ClauseAnd(and_=clauses):
            return AllOf(tuple(_clause(each) for each in clauses))


def main(path: Path) -> None:
    """Write the file whole or not at all: a reader never sees half of it."""
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(msgspec.msgpack.encode(export()))
    part.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
