"""Token counts and money. No float ever holds money.

Units: prices in integer pico-dollars per token (1 USD per million tokens = 1,000,000 pUSD per token), charges in
integer nano-dollars (1 USD = 1,000,000,000 nUSD).
"""

import msgspec

NANO_PER_USD = 1_000_000_000
NANO_DIGITS = 9
PICO_PER_NANO = 1_000


class Usage(msgspec.Struct, frozen=True):
    """What one answer used, normalised over the dialects (facts: reference/providers.md 1.1).

    `input_tokens` holds the whole prompt, cached or not; `cache_read_tokens` and `cache_write_tokens` are parts of it,
    and `cache_write_1h_tokens` is the part of the writes with the one-hour lifetime.
    `output_tokens` holds everything generated; `reasoning_tokens` is a part of it.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt plus answer."""
        return self.input_tokens + self.output_tokens


class Price(msgspec.Struct, frozen=True):
    """Prices of one model, in pico-dollars per token; `request` in nano-dollars per request.

    `above` is None, or the number of input tokens above which `above_price` holds for the whole request.
    A cache price of None means: the same as `input`.
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    request: int = 0
    above: int | None = None
    above_price: "Price | None" = None


def usd(nano: int, places: int = NANO_DIGITS) -> str:
    """Nano-dollars as a decimal string, 7_500_000 as "0.007500000"; cut, not rounded, to `places`."""
    sign = "-" if nano < 0 else ""
    whole, part = divmod(abs(nano), NANO_PER_USD)
    return f"{sign}{whole}.{part:0{NANO_DIGITS}d}"[: None if places == NANO_DIGITS else places - NANO_DIGITS]


def nano_from_usd(text: str | float) -> int:
    """Dollars as people and JSON write them ("50", 0.02) to nano-dollars, through decimal digits, never binary ones.

    Raises ValueError if it is not a finite number of at most nine decimals or is negative.
    """
    from_text = str(text).strip()
    whole, _, part = from_text.partition(".")
    if not whole.isdecimal() or not (part or "0").isdecimal() or max(len(whole), len(part.rstrip("0"))) > NANO_DIGITS:
        raise ValueError(f"{from_text!r} is not an amount of US dollars with at most nine decimals")
    return int(whole) * NANO_PER_USD + int(part.rstrip("0").ljust(NANO_DIGITS, "0") or "0")
