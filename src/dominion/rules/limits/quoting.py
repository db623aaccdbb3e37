"""What a request will cost before it runs: at most, and likely. Pure; never asks a provider."""

import msgspec

from dominion.domain.errors import MaxCostExceeded
from dominion.domain.usage import Price, Usage, usd
from dominion.rules.limits.verdict import Ask
from dominion.rules.prices.pricing import charge

LIKELY_OUTPUT = 500
"""Tokens of an answer of about a page, which nobody can know before it is written."""


class Quote(msgspec.Struct, frozen=True):
    """Tokens and nano-dollars of one request with one model. `most_nano` is what is set aside for it, so no answer
    costs more; `likely_nano` takes nothing from a cache. Both None: the price is not known."""

    likely_input: int
    most_input: int
    likely_output: int
    most_output: int
    likely_nano: int | None
    most_nano: int | None


def quote(ask: Ask, likely_input: int, price: Price | None) -> Quote:
    """The quote for what would be asked; `price` is that of the model which is asked first."""
    likely_output = min(LIKELY_OUTPUT, ask.output_cap) * ask.choices
    likely = None if price is None else charge(Usage(likely_input, likely_output), price)
    return Quote(
        likely_input=likely_input,
        most_input=ask.input_bound,
        likely_output=likely_output,
        most_output=ask.output_cap * ask.choices,
        likely_nano=likely,
        most_nano=worst_of(ask),
    )


def worst_of(ask: Ask) -> int | None:
    """The most that a request can cost, in nano-dollars; None: the price is not known."""
    return None if ask.price is None else ask.nano(ask.output_cap)


def check_max_cost(ask: Ask, allowed_nano: int) -> None:
    """Raises MaxCostExceeded when a request may cost more than its caller allows for it, or when nobody knows."""
    most = worst_of(ask)
    if most is None:
        raise MaxCostExceeded("The price of this model is not known, so it may cost more than x-dominion-max-cost.")
    if most > allowed_nano:
        raise MaxCostExceeded(
            f"With up to {ask.output_cap * ask.choices:,} tokens of output this request may cost ${usd(most)}; "
            f"x-dominion-max-cost allows ${usd(allowed_nano)}."
        )
