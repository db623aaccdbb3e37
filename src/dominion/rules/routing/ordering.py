"""In which order providers are asked, and the price that covers all of them. Pure: randomness is an argument."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from dominion.domain.usage import Price

Ordering = Literal["config", "weighted", "latency", "cost"]
T = TypeVar("T")


def by_weight(items: Sequence[T], weight: Callable[[T], float], chance: Callable[[], float]) -> list[T]:
    """At random, each first as often as its share of the weights; those of weight 0 stay last, in their order.

    Method: Efraimidis and Spirakis, weighted random sampling with a reservoir (2006). `chance` from 0 to 1.
    """
    keys = {place: chance() ** (1 / weight(item)) if weight(item) > 0 else -1.0 for place, item in enumerate(items)}
    return [items[place] for place in sorted(keys, key=lambda place: -keys[place])]


def usual_cost(price: Price | None) -> float:
    """For comparing only: three tokens in for each one out; an unknown price is the highest."""
    return float("inf") if price is None else 3 * price.input + price.output + 1_000 * price.request


def ceiling(prices: Iterable[Price]) -> Price | None:
    """A price that no request costs more than at any of `prices`, whatever its mix of tokens; None: there are none.

    Where one price serves all it is that one; else the highest of each part, tier by tier.
    """
    found = set(prices)
    if len(found) <= 1:
        return next(iter(found), None)
    edges = sorted({edge for price in found for edge in _tiers(price) if edge}, reverse=True)
    highest: Price | None = None
    above: int | None = None
    for edge in (*edges, 0):  # from the highest tier down
        parts = [_within(price, edge) for price in found]
        highest = Price(
            input=max(max(part.input, part.cache_read or 0) for part in parts),
            output=max(part.output for part in parts),
            cache_write=max(_write(part) for part in parts),
            request=max(part.request for part in parts),
            above=above,
            above_price=highest,
        )
        above = edge
    return highest


def _tiers(price: Price) -> Mapping[int, Price]:
    """Each tier by the number of input tokens above which it holds."""
    tiers = {0: price}
    while price.above is not None and price.above_price is not None:
        tiers[price.above] = price.above_price
        price = price.above_price
    return tiers


def _within(price: Price, edge: int) -> Price:
    """The tier that holds for prompts just above `edge`."""
    tiers = _tiers(price)
    return tiers[max(known for known in tiers if known <= edge)]


def _write(price: Price) -> int:
    return max(price.input, price.cache_write or 0, price.cache_write_1h or 0)
