"""kill -9 at random moments under load: nothing that was answered is lost, nothing is doubled, and it serves again."""

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.whole.faultd import FaultServer
from tests.whole.program import COMMAND, Program

CALLERS = 16
LATE = (sys.executable, "-m", "tests.whole.late_journal")
PRICES = {"drip-3-4": 1000, "drip-2-5": 1000, "drip-6-2": 1000, "drip-1-1": 1000}


class Count:
    """What a run came to. `answered`: complete answers; `rows`, `flagged`: the ledger; `reached`: the provider."""

    def __init__(self, answered: int, rows: dict[str, int], reached: int, slowest: float) -> None:
        self.answered = answered
        self.rows = len(rows)
        self.flagged = sum(1 for outcome in rows.values() if outcome != 0)
        self.reached = reached
        self.slowest_start = slowest

    def __repr__(self) -> str:
        return str(vars(self))


def kill_again_and_again(folder: Path, kills: int, seed: int, command: Sequence[str] = COMMAND) -> Count:
    """Run the experiment."""
    chance = random.Random(seed)
    with FaultServer() as faults:
        toml = faults.toml(**PRICES)
        program = Program(folder, toml=toml, command=command)
        program.start()
        _, key = program.user(daily_requests=10**9, daily_tokens=10**12, monthly_spend_cap_usd="1000000")
        program.environment["PORT"] = program.url.rsplit(":", 1)[1]
        log = folder / "answered.log"
        callers = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("load.py")), program.url, key, str(CALLERS), str(log)]
        )
        slowest = 0.0
        try:
            for _ in range(kills):
                time.sleep(chance.uniform(0.2, 1.0))
                program.kill()
                slowest = max(slowest, program.start())
            time.sleep(0.3)
        finally:
            callers.kill()
            callers.wait()
            program.stop()
        with Program(folder, toml=toml):  # whatever the last stop left is replayed
            pass
        with sqlite3.connect(folder / "data" / "gateway.db") as database:
            rows = dict(database.execute("select id, outcome from usage").fetchall())
            everything = database.execute("select count(*) from usage").fetchone()[0]
            windows = database.execute(
                "select sum(requests) from usage_windows where kind = 'd' group by substr(scope, 1, 5)"
            ).fetchall()
            counted = database.execute("select count(*) from usage where outcome != 3").fetchone()[0]
        database.close()
        assert everything == len(rows)
        assert windows == [(counted,)] * 2  # of the user and of the provider
        answered = len(log.read_text().split())
        assert answered == len(set(log.read_text().split()))
        return Count(answered, rows, len(faults.executions), slowest)


def check(count: Count) -> None:
    """Every complete answer has its row; every other row is flagged or was cut by the kill on its last steps."""
    measured = count.rows - count.flagged
    assert measured >= count.answered, count  # 0 lost
    assert count.rows <= count.reached + count.flagged, count  # no row without a request that was sent
    assert measured - count.answered <= count.flagged + CALLERS, count
    assert count.slowest_start < 2.0, count


@pytest.mark.promise("001-008")
def test_a_few_kills_lose_nothing_and_double_nothing(folder: Path) -> None:
    check(kill_again_and_again(folder, kills=3, seed=1))


def test_the_control_with_a_journal_written_after_the_answer_loses_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    count = kill_again_and_again(folder, kills=3, seed=1, command=LATE)
    sys.stdout.write(f"{count}\n")
    with pytest.raises(AssertionError):
        check(count)
    assert count.rows - count.flagged < count.answered, count


@pytest.mark.soak
def test_a_hundred_kills_lose_nothing_and_double_nothing(folder: Path) -> None:
    count = kill_again_and_again(folder, kills=100, seed=2)
    sys.stdout.write(f"{count}\n")
    check(count)
