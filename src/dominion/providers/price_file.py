"""The shape of the exported price file, and how its clauses match model names. Reads no file and knows no source.

The file is one msgpack map from provider id to `ProviderPrices`, so that a reader decodes only the providers it needs.
"""

import re
from datetime import date

import msgspec

from dominion.domain.usage import Price

LAYOUT = 1
"""Stands in the file's name; goes up with every change of these shapes, so that an older file is not read."""

SECONDS_PER_DAY = 86_400
_COMPACT_DATE = re.compile(r"-(20\d{2})(\d{2})(\d{2})(?=-|:|$)")


class Equals(msgspec.Struct, frozen=True, array_like=True, tag="="):
    """The name is `text`. All texts are lower case."""

    text: str


class StartsWith(msgspec.Struct, frozen=True, array_like=True, tag="^"):
    """The name begins with `text`."""

    text: str


class EndsWith(msgspec.Struct, frozen=True, array_like=True, tag="$"):
    """The name ends with `text`."""

    text: str


class Contains(msgspec.Struct, frozen=True, array_like=True, tag="*"):
    """The name holds `text`."""

    text: str


class Regex(msgspec.Struct, frozen=True, array_like=True, tag="~"):
    """`pattern` is found in the name."""

    pattern: str


class AnyOf(msgspec.Struct, frozen=True, array_like=True, tag="|"):
    """At least one of `clauses` matches."""

    clauses: tuple["Clause", ...]


class AllOf(msgspec.Struct, frozen=True, array_like=True, tag="&"):
    """Every one of `clauses` matches."""

    clauses: tuple["Clause", ...]


Clause = Equals | StartsWith | EndsWith | Contains | Regex | AnyOf | AllOf


class DatedPrice(msgspec.Struct, frozen=True, array_like=True):
    """A price and when it holds.

    From `first_day` on (UTC days since the epoch; None: always), or, when `daily` is given, every day between these two
    seconds of the UTC day, the second one excluded; they may span midnight.
    """

    price: Price
    first_day: int | None = None
    daily: tuple[int, int] | None = None


class ModelPrices(msgspec.Struct, frozen=True, array_like=True):
    """One model: the names it goes by, and its prices; the last one that holds counts, else the first.

    No prices: the model is known but not sold by the token, so it is unpriced, whatever a later clause would match.
    """

    match: Clause
    prices: tuple[DatedPrice, ...]


class ProviderPrices(msgspec.Struct, frozen=True, array_like=True):
    """The first model that matches counts. `fallback` are providers whose models this one resells."""

    models: tuple[ModelPrices, ...]
    fallback: tuple[str, ...] = ()


def matches(clause: Clause, name: str) -> bool:  # noqa: PLR0911 - one for each kind
    """Whether `name`, in lower case, is meant by `clause`."""
    match clause:
        case Equals(text):
            return name == text
        case StartsWith(text):
            return name.startswith(text)
        case EndsWith(text):
            return name.endswith(text)
        case Contains(text):
            return text in name
        case Regex(pattern):
            return re.search(pattern, name) is not None
        case AnyOf(clauses):
            return any(matches(each, name) for each in clauses)
        case AllOf(clauses):
            return all(matches(each, name) for each in clauses)


def find(prices: ProviderPrices, name: str) -> tuple[DatedPrice, ...] | None:
    """The prices of the first model that `name`, in lower case, means; None when there is no such model."""
    return next((model.prices for model in prices.models if matches(model.match, name)), None)


def with_dashed_date(name: str) -> str:
    """`name` with a date such as -20251211 written -2025-12-11, as the source writes most of them."""

    def dashed(found: re.Match[str]) -> str:
        year, month, day = (int(group) for group in found.groups())
        try:
            return f"-{date(year, month, day).isoformat()}"
        except ValueError:
            return found[0]

    return _COMPACT_DATE.sub(dashed, name)


def price_at(prices: tuple[DatedPrice, ...], at: float) -> Price:
    """The price that holds at `at` epoch seconds. `prices` must not be empty."""
    day, second = divmod(int(at), SECONDS_PER_DAY)
    for dated in reversed(prices):
        if dated.daily is not None:
            first, end = dated.daily
            holds = first <= second < end if first <= end else second >= first or second < end
        else:
            holds = dated.first_day is None or day >= dated.first_day
        if holds:
            return dated.price
    return prices[0].price
