"""The gateway by a clock that a test moves while it runs: only the launcher here knows of it, the product does not.

The monotonic clock stays the machine's own, as it does when an operator or a time server moves the other one.
"""

import mmap
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dominion.app.world import SystemClock
from dominion.cli.main import main

FILE = "DOMINION_TEST_CLOCK"
COMMAND = (sys.executable, "-m", "tests.whole.moved_clock")
AT_LEAST = 1e8
"""Smaller numbers move the clock, larger ones are the time at which it stands."""


class Clock:
    """The test's hand on the clock of one program. The file holds one number, written and read at once."""

    def __init__(self, file: Path, at: float) -> None:
        file.write_bytes(struct.pack("d", at))
        self._file = file
        self.environment = {FILE: str(file), "PYTHONPATH": str(Path(__file__).parents[2])}

    def stand(self, at: float) -> None:
        """It is this moment, until it is told otherwise."""
        self._write(at)

    def run(self, at: float) -> None:
        """It is this moment now, and time goes on."""
        self._write(at - time.time())

    def _write(self, number: float) -> None:
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as memory:
            memory[:] = struct.pack("d", number)


def moved(file: Path) -> Callable[[], float]:
    """What the clock says."""
    with file.open("r+b") as opened:
        memory = mmap.mmap(opened.fileno(), 8)

    def now() -> float:
        number: float = struct.unpack("d", memory[:])[0]
        return number if abs(number) >= AT_LEAST else time.time() + number

    return now


if __name__ == "__main__":
    SystemClock.now = staticmethod(moved(Path(os.environ[FILE])))
    main()
