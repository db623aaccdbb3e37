"""The running mock, as the bench sees it: its port, its counts, its switches."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.mock import Counts
from bench.processes import LOAD, Children
from bench.target import Target, exchange


@dataclass(frozen=True)
class Mock:
    """The mock process."""

    port: int
    pid: int

    def counts(self) -> Counts:
        """What it has seen so far."""
        return self._control("counts")

    def close_idle(self) -> None:
        """Close each connection on which no request is under way."""
        self._control("close-idle")

    def close_within_ms(self, limit: int) -> None:
        """From now on close each connection at a random moment within so many ms after an answer; 0: never."""
        self._control(f"idle?close_within_ms={limit}")

    def target(self) -> Target:
        """The bare upstream, to be measured without anything in between."""
        return Target("direct", 0, self.port, self.port, "bench")

    def _control(self, what: str) -> Counts:
        return Counts(**json.loads(exchange(self.port, "GET", f"/bench/{what}", {}, None, timeout=10).body))


def start_mock(children: Children, home: Path) -> Mock:
    """Start it on the core of the load."""
    child = children.start([sys.executable, "-m", "bench.mock"], role=LOAD, log=home / "mock.log")
    assert child.stdout is not None  # noqa: S101 -- a pipe, for this role
    line = child.stdout.readline()
    if not line:
        raise RuntimeError(f"the mock did not start: {(home / 'mock.log').read_text()}")
    return Mock(port=int(line), pid=child.pid)
