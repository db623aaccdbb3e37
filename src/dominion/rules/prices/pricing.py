"""What usage costs, and what it may cost at worst. Exact integers only: a float must never enter here.

A tier (`Price.above`) is a cliff: past it, the whole request is charged at the tier's prices. Each charge is rounded
once, upwards to the next nano-dollar, so the parts of a row never add up to more or less than the row.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from dominion.domain.usage import PICO_PER_NANO, Price, Usage

UNBOUNDED = 1 << 62
"""What `affordable_output` answers when output costs nothing."""

_PICO_PER_USD_PER_MILLION = 1_000_000
_HIGHEST_USD_PER_MILLION = 10_000
"""Times the largest output cap and number of choices, this is still a 63-bit number of nano-dollars."""


def pico_per_token(amount: str | int | Decimal) -> int:
    """US dollars per million tokens, as people write them ("2.50"), to integer pico-dollars per token.

    Raises ValueError for what is not a number from 0 to 10,000 with at most six decimals. A float is refused: its
    digits are not the ones that somebody wrote.
    """
    if isinstance(amount, float | bool):
        raise ValueError("is not a decimal number")  # noqa: TRY004 - callers collect one kind of error
    try:
        usd = Decimal(amount)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not an amount of US dollars per million tokens") from None
    if not usd.is_finite() or not 0 <= usd <= _HIGHEST_USD_PER_MILLION:
        raise ValueError(f"{amount} is not between 0 and {_HIGHEST_USD_PER_MILLION:,} US dollars per million tokens")
    pico = usd * _PICO_PER_USD_PER_MILLION
    if pico != int(pico):
        raise ValueError(f"{amount} US dollars per million tokens has more than six decimals")
    return int(pico)


def charge(usage: Usage, price: Price) -> int:
    """The cost of `usage` in nano-dollars.

    Cache counts beyond the prompt and negative counts are clamped: some providers report them (providers.md 1.1).
    """
    whole = max(usage.input_tokens, 0)
    if price.above is not None:
        for _, tier in _tiers(price, whole):
            price = tier
    if not usage.cache_read_tokens and not usage.cache_write_tokens:
        return _nano(whole * price.input + max(usage.output_tokens, 0) * price.output) + price.request
    read = min(max(usage.cache_read_tokens, 0), whole)
    write = min(max(usage.cache_write_tokens, 0), whole - read)
    hour = min(max(usage.cache_write_1h_tokens, 0), write)
    pico = (
        (whole - read - write) * price.input
        + read * _or_input(price.cache_read, price)
        + (write - hour) * _or_input(price.cache_write, price)
        + hour * _or_input(price.cache_write_1h, price)
        + max(usage.output_tokens, 0) * price.output
    )
    return _nano(pico) + price.request


def worst_case(input_bound: int, output_cap: int, price: Price, choices: int = 1) -> int:
    """The most that a request can cost, in nano-dollars, whatever is cached and whichever tier it falls into.

    `input_bound` is an upper bound of the prompt's tokens; each of `choices` answers has up to `output_cap` tokens.
    """
    if price.above is None:  # nearly every price; the hot path
        return _nano(input_bound * _dearest_input(price) + output_cap * choices * price.output) + price.request
    return max(
        _nano(most * _dearest_input(tier) + output_cap * choices * tier.output) + tier.request
        for most, tier in _tiers(price, input_bound)
    )


def affordable_output(nano_left: int, input_bound: int, price: Price, choices: int = 1) -> int:
    """The largest output cap whose `worst_case` is within `nano_left`; 0 when there is none, at most UNBOUNDED."""
    cap = UNBOUNDED
    for most, tier in _tiers(price, input_bound):
        left = (nano_left - tier.request) * PICO_PER_NANO - most * _dearest_input(tier)
        if left < 0:
            return 0
        if tier.output:
            cap = min(cap, left // (tier.output * choices))
    return cap


def _tiers(price: Price, input_bound: int) -> Iterator[tuple[int, Price]]:
    """Every tier that a prompt of at most `input_bound` tokens can fall into, with its longest such prompt."""
    while price.above is not None and price.above_price is not None and input_bound > price.above:
        yield price.above, price
        price = price.above_price
    yield input_bound, price


def _or_input(cache_price: int | None, price: Price) -> int:
    return price.input if cache_price is None else cache_price


def _dearest_input(price: Price) -> int:
    """A prompt token may be fresh, read from a cache or written to one; the request alone does not tell."""
    return max(price.input, price.cache_read or 0, price.cache_write or 0, price.cache_write_1h or 0)


def _nano(pico: int) -> int:
    return -(-pico // PICO_PER_NANO)


def is_leap(before: Price | None, after: Price) -> bool:
    """Whether a new price is so far from the one before that it is likelier a slip (a cent for a dollar, tokens for
    thousands) than a price: more than 100 times as much, or less than a hundredth, in any part that both have."""
    if before is None:
        return False
    pairs = [(getattr(before, part), getattr(after, part)) for part in ("input", "output", "cache_read", "cache_write")]
    return any(new > 100 * old or old > 100 * new for old, new in pairs if old is not None and new is not None)
