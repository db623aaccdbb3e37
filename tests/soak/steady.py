"""A constant load from a process of its own: so many requests a second, sent when their time has come whatever became
of those before them.

Run as a program: `steady.py URL KEY RATE LOG PREFIX`; it ends at SIGTERM, when what it asked is answered. Every line of
LOG is one request: when it was due (monotonic seconds), how long the whole answer took from then, its status (0: cut or
not connected), whether a refusal said when to come again, and its name, which begins with PREFIX.
"""

import asyncio
import itertools
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from tests.whole import load

PATIENCE = 30.0
"""Seconds for one request."""


class Asked(NamedTuple):
    """One line of the log."""

    at: float
    seconds: float
    status: int
    told_when: bool
    name: str


class Phase(NamedTuple):
    """What happened between two moments. `failed`: neither answered nor refused by a rate."""

    requests: int
    statuses: dict[int, int]
    p99_ms: float
    slowest_ms: float

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        return f"{statuses or 'nothing'}; p99 {self.p99_ms:.0f} ms, slowest {self.slowest_ms:.0f} ms"


class Steady:
    """The load, for as long as the `with`; afterwards `asked` holds every request in the order of their times."""

    def __init__(self, url: str, key: str, rate: float, log: Path, prefix: str = "s") -> None:
        self._command = [sys.executable, "-m", "tests.soak.steady", url, key, str(rate), str(log), prefix]
        self._log = log
        self.asked: list[Asked] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, cwd=Path(__file__).parents[2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(2 * PATIENCE)
        self.asked = sorted(read(self._log))

    def so_far(self) -> list[Asked]:
        """Every request that has ended."""
        return self.asked or read(self._log)

    def phase(self, begin: float, end: float) -> Phase:
        """What became of the requests that were due between two moments."""
        found = [one for one in self.asked if begin <= one.at < end]
        seconds = sorted(one.seconds for one in found)
        p99 = seconds[math.ceil(len(seconds) * 0.99) - 1]
        statuses = Counter(one.status for one in found)
        return Phase(len(found), dict(statuses), p99 * 1000, seconds[-1] * 1000)


def read(log: Path) -> list[Asked]:
    """The log as it is now."""
    text = log.read_text() if log.exists() else ""
    lines = (line.split() for line in text.splitlines() if line.endswith(";"))
    return [
        Asked(float(at), float(seconds), int(status), told == "1", name) for at, seconds, status, told, name, _ in lines
    ]


def busiest(asked: Sequence[Asked], window: float) -> int:
    """The most answers whose requests were due within one window."""
    times = [one.at for one in asked if one.status == 200]
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - window:
            first += 1
        most = max(most, last - first + 1)
    return most


async def one(host: str, port: int, key: str, number: int, due: float, log: IO[str], prefix: str) -> None:
    """One request and its line."""
    model, stream = load.MODELS[number % len(load.MODELS)]
    name, status, told = f"{prefix}{number}", 200, False
    try:
        async with asyncio.timeout(PATIENCE):
            await load.ask(host, port, key, model, name, stream=stream)
    except load.RefusedError as refused:
        status, told = refused.status, refused.told_when
    except (OSError, EOFError):
        status = 0
    log.write(f"{due:.6f} {time.monotonic() - due:.6f} {status} {int(told)} {name} ;\n")


async def main(url: str, key: str, rate: float, path: Path, prefix: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    began = time.monotonic()
    with path.open("w", buffering=1) as log:
        async with asyncio.TaskGroup() as running:
            for number in itertools.count():
                due = began + number / rate
                try:
                    async with asyncio.timeout(due - time.monotonic()):
                        await stopping.wait()
                    break
                except TimeoutError:
                    running.create_task(one(host, int(port), key, number, due, log, prefix))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]), sys.argv[5]))
