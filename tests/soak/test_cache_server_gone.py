"""R23: Valkey stalled, dead, slow or behind a network that swallows everything, 300 seconds each
(DOMINION_TEST_SECONDS) at 100 requests a second: no request fails or waits for it, and rates hold all the same.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.programs import Valkey
from tests.servers.proxy import Proxy
from tests.soak.kills import PRICES
from tests.soak.steady import Phase, Steady, busiest
from tests.whole.faultd import FaultServer
from tests.whole.program import COMMAND, Program

SECONDS = float(os.environ.get("DOMINION_TEST_SECONDS", "300"))
RATE = float(os.environ.get("DOMINION_TEST_RATE", "100"))
MINUTE = 60.0
MORE_MS = 50.0
PATIENT = (sys.executable, "-m", "tests.soak.patient_cache")
Fault = tuple[Callable[[Valkey, Proxy], object], Callable[[Valkey, Proxy], object]]
FAULTS: dict[str, Fault] = {
    "stalled": (lambda server, _: server.signal(signal.SIGSTOP), lambda server, _: server.signal(signal.SIGCONT)),
    "dead": (lambda server, _: server.kill(), lambda server, _: server.start()),
    "slow": (lambda _, proxy: setattr(proxy, "delay", 0.2), lambda _, proxy: setattr(proxy, "delay", 0.0)),
    "swallowed": (lambda _, proxy: setattr(proxy, "mode", "hole"), lambda _, proxy: setattr(proxy, "mode", "pass")),
}


class Outcome(NamedTuple):
    """Before, while and after; what a twin whose server was well came to meanwhile, under the same load on the same
    machine; `most` answers of the caller with a rate in any one window; lines of the log."""

    before: Phase
    fault: Phase
    after: Phase
    twin: Phase
    most: int
    limit: int
    workers: int
    lines: list[str]

    def check(self, more_ms: float = MORE_MS) -> None:
        """Nobody was failed, nobody waited, and the rate was kept but for what fits through while the server fails: a
        worker that had used none of its part may then use all of it."""
        assert {*self.before.statuses, *self.fault.statuses, *self.after.statuses} == {200}, self
        assert self.fault.p99_ms <= self.twin.p99_ms + more_ms, self
        assert self.most <= (2 - 1 / self.workers) * self.limit + 6, self  # small numbers are uneven
        assert len(self.lines) <= 8 + self.fault.requests // 20, self.lines  # one for each change, never one a request


class Side:
    """A gateway with a cache server behind a network of its own, and its callers: one without a rate, and
    one who asks half as often again as its rate allows."""

    def __init__(
        self, folder: Path, opened: ExitStack, rate: float, window: float, workers: int, command: Sequence[str]
    ) -> None:
        faults = opened.enter_context(FaultServer())
        self.server = opened.enter_context(Valkey())
        self.proxy = opened.enter_context(Proxy(self.server.socket))
        environment = {
            "REDIS_URL": f"redis://127.0.0.1:{self.proxy.port}",
            "RATE_LIMIT_WINDOW_MS": str(int(window * 1000)),
            "WORKERS": str(workers),
        }
        self.program = opened.enter_context(Program(folder, toml=faults.toml(**PRICES), command=command, **environment))
        self.limit = int(0.1 * rate * window)
        keys = [self.program.user(requests_per_minute=limit)[1] for limit in (10**6, self.limit)]
        for key in keys * 4:  # so that every worker knows them
            self.program.chat(key)
        self.free = Steady(self.program.url, keys[0], rate, folder / "free.log")
        self.rated = Steady(self.program.url, keys[1], 0.15 * rate, folder / "rated.log", "l")


def outage(
    folder: Path,
    fault: str,
    seconds: float,
    *,
    rate: float,
    window: float,
    workers: int = 2,
    command: Sequence[str] = COMMAND,
) -> Outcome:
    """Run it: a fifth of the time before, the fault, a fifth afterwards."""
    begin, end = FAULTS[fault]
    with ExitStack() as opened:
        side, twin = (Side(folder / name, opened, rate, window, workers, command) for name in ("side", "twin"))
        with side.free, twin.free, side.rated:
            time.sleep(1.0)  # until the load has begun
            moments = [time.monotonic()]
            time.sleep(seconds / 5)
            for change, pause in ((begin, seconds), (end, seconds / 5)):
                moments.append(time.monotonic())
                change(side.server, side.proxy)
                time.sleep(pause)
            moments.append(time.monotonic())
    before, during, after = (side.free.phase(*pair) for pair in pairwise(moments))
    lines = [line for line in side.program.lines if "cache server" in line]
    most = busiest(side.rated.asked, window)
    return Outcome(before, during, after, twin.free.phase(*moments[1:3]), most, side.limit, workers, lines)


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
def test_a_cache_server_that_is_away_fails_and_delays_no_request(folder: Path, fault: str) -> None:
    window = MINUTE if SECONDS >= 2 * MINUTE else 5.0
    found = outage(folder, fault, SECONDS, rate=RATE, window=window)
    sys.stdout.write(
        f"R23 {fault} for {SECONDS:g} s at {RATE:g}/s: before: {found.before}; meanwhile: {found.fault};"
        f" its twin: {found.twin}; after: {found.after};"
        f" at most {found.most} of {found.limit} in a window of {window:g} s; {len(found.lines)} lines\n"
    )
    found.check()


def test_a_cache_server_that_stalls_for_some_seconds_fails_and_delays_no_request(folder: Path) -> None:
    found = outage(folder, "stalled", 2.0, rate=40, window=60.0, workers=1)
    found.check(more_ms=2000)  # the machine has other things to do


@pytest.mark.soak
@pytest.mark.usefixtures("importable")
def test_the_control_that_waits_for_its_cache_server_delays_requests(folder: Path) -> None:
    found = outage(folder, "stalled", 8.0, rate=50, window=60.0, command=PATIENT)
    sys.stdout.write(f"R23 control: meanwhile: {found.fault}; its twin: {found.twin}\n")
    with pytest.raises(AssertionError):
        found.check()
    assert found.fault.p99_ms > found.twin.p99_ms + MORE_MS
