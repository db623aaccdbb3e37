"""What is known of use in sums, and of single requests that were timed. Money in nano-dollars."""

from typing import Literal

import msgspec

Grouping = Literal["provider", "model", "day"]
"""What sums of days can be asked by."""
Payer = Literal["customer", "user"]
"""What sums of months can be asked by."""


class Counted(msgspec.Struct, frozen=True):
    """Sums that share `name`: a provider, "provider/model", a day (YYYY-MM-DD), a customer.

    `failed` requests are not among `requests`; those that the caller (`cancelled`) or the provider (`broken`) broke off
    are.
    """

    name: str
    requests: int
    failed: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_nano: int
    cancelled: int
    broken: int


class Timed(msgspec.Struct, frozen=True):
    """One request: when it came (epoch milliseconds), who answered, how it ended (`Outcome`), and how long it took."""

    at: int
    provider: str
    model: str
    outcome: int
    output_tokens: int
    latency_ms: int
    first_ms: int
