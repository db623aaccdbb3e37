"""The operator's own prices, as they are stored: dated, and never changed once written."""

import msgspec

from dominion.domain.usage import Price


class PriceRow(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one model from `valid_from` (epoch seconds) on, until a later row of the same model begins.

    `model` is the provider's name for it, or "*" for every model of the provider that has no row of its own; both names
    in lower case. Of two rows that begin at the same second the one with the higher `number` holds; the store gives the
    numbers. `created_at` epoch seconds.
    """

    provider: str
    model: str
    valid_from: int
    price: Price
    note: str = ""
    created_at: int = 0
    number: int = 0
