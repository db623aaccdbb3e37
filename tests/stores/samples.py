"""Made-up users, keys, holds and ledger rows. Every field has a value of its own, so that a swapped column shows."""

import msgspec

from dominion.domain.people import ApiKey, Limits, User
from dominion.domain.records import AttemptRecord, HoldRecord, UsageRow

AT = 1_790_000_000_000
"""Epoch milliseconds of 2026-09-21T13:33:20Z."""
DAY, MONTH = 20_717, 2026 * 12 + 8
USER = User("usr_1", "Ada", "ada@example.com", "active", Limits(1, 2, 3, 4, 5), 1_700_000_000)
KEY = ApiKey("k1", "usr_1", "laptop", "$argon2id$v=19$...", b"\x00digest\xff", "wxyz", 1_700_000_001)
HOLD = HoldRecord("req_0", AT, "usr_1", "k1", "openai", "gpt-4o", "openai_chat", 100, 500, 5_250_000)
ROW = UsageRow(
    id="req_0",
    at=AT,
    user_id="usr_1",
    key_id="k1",
    provider="openai",
    model="gpt-4o",
    door="anthropic",
    stream=True,
    outcome=1,
    certainty=2,
    input_tokens=101,
    output_tokens=52,
    cache_read_tokens=13,
    cache_write_tokens=14,
    reasoning_tokens=15,
    cost_nano=772_500,
    latency_ms=1_801,
    first_ms=302,
    finish="stop",
    over_hold=False,
    error="Größe ≠ 0",
    list_nano=772_503,
)
ATTEMPT = AttemptRecord("req_0", 1, AT, "openai", "gpt-4o", 503, "provider_unavailable", 120, 33, 4, 55_000, 2)


def user(number: int, **changes: object) -> User:
    return msgspec.structs.replace(USER, id=f"usr_{number}", **changes)


def key(number: int, **changes: object) -> ApiKey:
    return msgspec.structs.replace(KEY, id=f"k{number}", **changes)


def row(number: int, **changes: object) -> UsageRow:
    return msgspec.structs.replace(ROW, id=f"req_{number}", **changes)


def hold(number: int) -> HoldRecord:
    return msgspec.structs.replace(HOLD, id=f"req_{number}")


def attempt(request: int, number: int, **changes: object) -> AttemptRecord:
    return msgspec.structs.replace(ATTEMPT, request_id=f"req_{request}", number=number, **changes)
