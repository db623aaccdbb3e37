"""R3 and R4: the disk fails again and again under load, 20 times for each way of failing and each durability
(DOMINION_TEST_WINDOWS): no answer without its row, refusals say when to come again, and it serves again by itself.
"""

import os
import random
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.soak.disk_faults import FAULTS, on_a_small_disk, seen_from_outside
from tests.soak.kills import PRICES
from tests.soak.ledger import Comparison
from tests.soak.steady import Asked, Steady
from tests.whole.faultd import FaultServer
from tests.whole.program import COMMAND, Program

WINDOWS = int(os.environ.get("DOMINION_TEST_WINDOWS", "20"))
RATE = float(os.environ.get("DOMINION_TEST_RATE", "100"))
AGAIN_SECONDS = 5.0
DURABILITIES = ("journal", "journal+fsync", "database")
CARELESS = (sys.executable, "-m", "tests.soak.careless_journal")


class Result(NamedTuple):
    """What it came to; `again` the longest time from the end of a fault to the first answer."""

    compared: Comparison
    asked: list[Asked]
    again: float

    def __str__(self) -> str:
        refused = sum(one.status == 503 for one in self.asked)
        cut = sum(one.status == 0 for one in self.asked)
        return f"{refused} refused, {cut} cut, serving again after {self.again:.2f} s; {self.compared}"

    def check(self) -> None:
        """No answer without its row, and none but answers, refusals that say when to come again, and cut streams."""
        self.compared.check()
        assert {one.status for one in self.asked} <= {200, 503, 0}, self
        assert all(one.told_when for one in self.asked if one.status == 503), self
        assert self.again <= AGAIN_SECONDS, self


def fail(
    folder: Path,
    fault: str,
    durability: str,
    *,
    windows: int,
    longest: float = 1.0,
    rate: float = RATE,
    killed: bool = True,
    command: Sequence[str] = COMMAND,
) -> Result:
    """Run it. `killed`: within one more fault the program is killed, so that only what is on the disk counts."""
    chance = random.Random(windows)
    small = fault == "the disk is full"
    with FaultServer() as faults:
        program = Program(
            folder,
            toml=faults.toml(**PRICES),
            command=on_a_small_disk() if small else command,
            DURABILITY=durability,
            JOURNAL_LIMIT_MB="8",
        )
        again: list[float] = []
        with program:
            _, key = program.user()
            with Steady(program.url, key, rate, folder / "steady.log") as steady:
                for _ in range(windows):
                    time.sleep(chance.uniform(0.2, longest))
                    with FAULTS[fault](program):
                        time.sleep(chance.uniform(0.2, longest))
                    again.append(answers_again(steady))
                if killed and not small:
                    with FAULTS[fault](program):
                        time.sleep(longest)
                        program.kill()
            if small:  # it goes with the program
                program.admin("GET", "/admin/usage")  # writes what is not written yet
                for name in ("gateway.db", "gateway.db-wal"):
                    shutil.copy(seen_from_outside(program) / name, folder)
                return result(folder / "gateway.db", faults, steady, max(again))
        with Program(folder, toml=faults.toml(**PRICES)):  # whatever was left is replayed
            pass
        return result(folder / "data" / "gateway.db", faults, steady, max(again))


def answers_again(steady: Steady) -> float:
    """Seconds until the first answer to a request that is due from now on; or until nobody would wait any longer."""
    since = time.monotonic()
    while time.monotonic() < since + 2 * AGAIN_SECONDS:
        times = [one.at + one.seconds for one in steady.so_far() if one.status == 200 and one.at >= since]
        if times:
            return min(times) - since
        time.sleep(0.05)
    return time.monotonic() - since


def result(place: Path, faults: FaultServer, steady: Steady, again: float) -> Result:
    answered = [one.name for one in steady.asked if one.status == 200]
    return Result(Comparison(place, answered, [one.nonce for one in faults.executions]), steady.asked, again)


@pytest.mark.soak
@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_answer_is_without_its_row_when_the_disk_fails_again_and_again(
    folder: Path, fault: str, durability: str
) -> None:
    found = fail(folder, fault, durability, windows=WINDOWS)
    sys.stdout.write(f"R4 {fault}, durability {durability}: {WINDOWS} windows; {found}\n")
    found.check()


@pytest.mark.parametrize("durability", ["journal", "database"])
def test_no_answer_is_without_its_row_when_files_may_not_grow_for_a_moment(folder: Path, durability: str) -> None:
    fail(folder, "files may not grow", durability, windows=1, longest=0.5, rate=60).check()


@pytest.mark.soak
@pytest.mark.usefixtures("importable")
def test_the_control_that_keeps_rows_in_memory_loses_them(folder: Path) -> None:
    found = fail(folder, "files may not grow", "journal", windows=1, command=CARELESS)
    sys.stdout.write(f"R4 control: {found}\n")
    assert found.compared.lost > 0
    with pytest.raises(AssertionError):
        found.check()
