"""Made-up holds and ledger rows."""

import msgspec

from dominion.domain.records import AttemptRecord, HoldRecord, UsageRow

HOLD = HoldRecord(
    id="req_1",
    at=1_767_571_200_000,
    user_id="usr_1",
    key_id="k1",
    provider="stub",
    model="echo",
    door="native",
    likely_input=10,
    output_cap=50,
    likely_nano=110_000,
)
ROW = UsageRow(
    id="req_1",
    at=1_767_571_200_000,
    user_id="usr_1",
    key_id="k1",
    provider="stub",
    model="echo",
    door="native",
    stream=False,
    outcome=0,
    certainty=0,
    input_tokens=8,
    output_tokens=20,
    cache_read_tokens=0,
    cache_write_tokens=0,
    reasoning_tokens=0,
    cost_nano=48_000,
    latency_ms=5,
    first_ms=4,
    finish="stop",
)


def hold(number: int) -> HoldRecord:
    return msgspec.structs.replace(HOLD, id=f"req_{number}")


def row(number: int, **changes: object) -> UsageRow:
    return msgspec.structs.replace(ROW, id=f"req_{number}", **changes)


def attempt(request: int, number: int) -> AttemptRecord:
    return AttemptRecord(
        f"req_{request}", number, ROW.at, "stub", "fail-503", 503, "provider_unavailable", 3, 0, 0, 0, 0
    )
