"""R18: callers who leave, 500 in each way (DOMINION_TEST_RUNS), half of them with a reset: the provider is cut off at
once, and one row says what was used and that it is not the whole answer.
"""

import os
import statistics
import sys
import time
from pathlib import Path

import pytest

from dominion.domain.records import Outcome
from tests.soak.ledger import query
from tests.whole.faultd import FaultServer
from tests.whole.program import Program
from tests.whole.test_cancelled import CASES, leave

RUNS = int(os.environ.get("DOMINION_TEST_RUNS", "500"))
PRICES = {"drip-1000-5": 1000, "silent": 1000, "mute": 1000}

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("case", CASES)
def test_whoever_leaves_cuts_the_provider_off_and_leaves_one_row(folder: Path, case: str) -> None:
    model, stream = CASES[case]
    with FaultServer() as faults, Program(folder, toml=faults.toml(**PRICES)) as program:
        user_id, key = program.user()
        left: dict[str, float] = {}
        for number in range(RUNS):
            nonce = f"{case} {number}"
            left[nonce] = leave(program, faults, key, model, nonce, stream=stream)
        reached = faults.wait_for(RUNS)
        closed = time.monotonic()
        delays = sorted(one.closed_at - left[one.nonce] for one in reached if one.closed_at is not None)
        totals = program.usage(user_id)
        recorded = time.monotonic() - closed
        quota = program.ask("GET", "/v1/llm/quota", token=key).json
    rows = query(folder / "data" / "gateway.db", "SELECT outcome, count(*) FROM usage GROUP BY outcome")
    p50, p99 = statistics.median(delays) * 1000, delays[int(len(delays) * 0.99) - 1] * 1000
    sys.stdout.write(
        f"R18 {case}: {len(delays)} of {RUNS} cut off, after {p50:.0f} ms (median), {p99:.0f} ms (p99),"
        f" {delays[-1] * 1000:.0f} ms (slowest); rows {rows}, all there after {recorded:.2f} s\n"
    )
    assert len(delays) == RUNS
    assert p50 <= 50
    assert p99 <= 250
    assert totals["requests"] == RUNS
    assert recorded <= 1
    assert rows == [(Outcome.CANCELLED, RUNS)]
    assert quota["concurrent_requests"]["used"] == quota["daily_requests"]["held"] == 0


def test_the_control_of_callers_who_stay_cuts_nobody_off(folder: Path) -> None:
    with FaultServer() as faults, Program(folder, toml=faults.toml(**{"drip-5-5": 1000})) as program:
        _, key = program.user()
        for _ in range(5):
            assert program.chat(key, "faults/drip-5-5", stream=True).status == 200
        assert [one.closed_at for one in faults.wait_for(5)] == [None] * 5
    rows = query(folder / "data" / "gateway.db", "SELECT outcome, count(*) FROM usage GROUP BY outcome")
    assert rows == [(Outcome.OK, 5)]
