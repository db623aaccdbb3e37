"""What the journal and the ledger hold: a hold when money is set aside, a row when it is spent.

Both travel as msgpack arrays, so fields are only ever appended, with a default.
"""

from enum import IntEnum

import msgspec


class Certainty(IntEnum):
    """How a row's token counts came about."""

    MEASURED = 0
    """The provider reported them."""
    ESTIMATED = 1
    """The provider reported none, or the answer was cut: counted from the bytes relayed."""
    UNKNOWN = 2
    """The gateway died while the request ran: the likely input and the whole output cap are charged. Of an attempt:
    nobody knows whether the provider bills it."""


class Outcome(IntEnum):
    """How a request ended."""

    OK = 0
    """The whole answer was handed over."""
    CANCELLED = 1
    """The caller left before the end."""
    CUT = 2
    """The provider broke off after the first byte."""
    FAILED = 3
    """No byte of an answer: nothing is charged and no quota is used."""
    LOST = 4
    """The gateway died while the request ran."""
    CORRECTION = 5
    """No request: what another row should have cost beyond its charge. No tokens; the cost may be negative."""
    FOUND = 6
    """Takes a LOST row of a whole process back, because its journal has turned up: tokens and cost are negative, and
    it counts as one request less."""


class HoldRecord(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """Set aside before the provider is asked. `id` is the request id; `at` epoch milliseconds.

    `likely_input` is the likely number of input tokens (not the bound), `output_cap` what was asked of the provider.
    `likely_nano` is what both would cost.
    """

    id: str
    at: int
    user_id: str
    key_id: str
    provider: str
    model: str
    door: str
    likely_input: int
    output_cap: int
    likely_nano: int
    customer: str = ""
    run: str = ""


class UsageRow(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    """One row of the ledger: what one request used and what it costs. Written once, never changed.

    `id` is the request id and the primary key. `at` is epoch milliseconds of admission: it decides the day and month
    that are charged. `cost_nano` nano-dollars. `latency_ms` whole request, `first_ms` to the first byte of the answer.
    `lost` names of request fields that had no place in the provider's dialect, comma-separated. `list_nano` None: the
    operator's key paid; else a key of the caller's own did, nothing is charged, and this is what the price book says.
    """

    id: str
    at: int
    user_id: str
    key_id: str
    provider: str
    model: str
    door: str
    stream: bool
    outcome: int
    certainty: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_nano: int
    latency_ms: int
    first_ms: int
    finish: str
    over_hold: bool = False
    error: str = ""
    customer: str = ""
    run: str = ""
    cache_write_1h_tokens: int = 0
    list_nano: int | None = None


class AttemptRecord(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """A provider that was asked and did not answer. The attempt that did is the `UsageRow` itself.

    `number` counts the attempts of a request from 1; `at` is epoch milliseconds of its end. `status` is what the
    provider answered, 0: nothing. `code` is that of the error. Money here is what the provider may bill us, never a
    charge: `certainty` MEASURED where it refused, or told what it used; UNKNOWN where nobody knows whether it bills
    what it was sent, and then tokens and cost are those of the likely input.
    """

    request_id: str
    number: int
    at: int
    provider: str
    model: str
    status: int
    code: str
    latency_ms: int
    input_tokens: int
    output_tokens: int
    cost_nano: int
    certainty: int


JournalRecord = HoldRecord | UsageRow | AttemptRecord


class Totals(msgspec.Struct):
    """Sums over one window of one user. Spend in nano-dollars."""

    requests: int = 0
    tokens: int = 0
    spend_nano: int = 0


SummaryKey = tuple[int, str, str, str]
"""Days since the epoch, user id, provider, model: what sums are ordered by."""


class UsageSummary(msgspec.Struct, frozen=True):
    """Sums over ledger rows that share `user_id`, `provider`, `model` and `day` (YYYY-MM-DD, UTC)."""

    day: str
    user_id: str
    provider: str
    model: str
    requests: int
    failed: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_nano: int
