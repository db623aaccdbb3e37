"""The experiment R1: kill -9 at random moments under constant load, of one worker or of everything, again and again."""

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.servers.programs import children
from tests.soak.ledger import Comparison
from tests.whole import load
from tests.whole.faultd import FaultServer
from tests.whole.program import COMMAND, START_SECONDS, Program

SERVING_SECONDS = 2.0
"""From the start of everything to the first answer."""
PRICES = {model.partition("/")[2]: 1000 for model, _ in load.MODELS}


class Killer:
    """Kills a program. `serving` and `replaced`: seconds from each start of everything to the first answer, and from
    each death of a worker to the word of its successor."""

    def __init__(self, program: Program, seed: int) -> None:
        self._program = program
        self._chance = random.Random(seed)
        self.serving: list[float] = []
        self.replaced: list[float] = []

    def again(self, longest: float) -> None:
        """After a random time, one of the workers or everything; returns when there are as many as before."""
        time.sleep(self._chance.uniform(0.2, longest))
        ready = {int(line.split()[-1]) for line in self._program.lines if "is ready, process" in line}
        workers = [pid for pid in children(self._program.pid) if pid in ready]  # not one that waits for its turn
        if workers and self._chance.random() < 0.5:
            self._worker(self._chance.choice(workers))
        else:
            self._everything()

    def _worker(self, pid: int) -> None:
        ready = sum("is ready, process" in line for line in self._program.lines)
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        self._program.wait_for_line("is ready, process", ready + 1)
        self.replaced.append(time.monotonic() - began)

    def _everything(self) -> None:
        os.kill(self._program.pid, signal.SIGSTOP)  # or it would start others
        for pid in children(self._program.pid):
            os.kill(pid, signal.SIGKILL)
        self._program.kill()
        with ThreadPoolExecutor(1) as beside:
            first = beside.submit(first_answer, self._program.url)
            self._program.start()
            self.serving.append(first.result())


def lasting_port(chance: random.Random) -> int:
    """A free port that nobody is given by accident: one that connections may be made from is soon taken, by a caller
    who tries to reach the program while it is dead, even by itself."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", chance.randrange(10_000, first)))
            return int(tried.getsockname()[1])


def first_answer(url: str) -> float:
    """Seconds until something at this address answers that it is well."""
    began = time.monotonic()
    while time.monotonic() < began + START_SECONDS:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=START_SECONDS)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().read():
                return time.monotonic() - began
        except OSError:
            time.sleep(0.01)
        finally:
            connection.close()
    raise AssertionError("it does not answer")


def kill_again_and_again(
    folder: Path,
    kills: int,
    seed: int,
    *,
    callers: int = 16,
    url: str = "",
    workers: int = 1,
    longest: float = 1.0,
    command: Sequence[str] = COMMAND,
) -> tuple[Comparison, Killer]:
    """Run it, on SQLite where no address of a database is given; what it came to once everything has ended."""
    environment = {"WORKERS": str(workers)} | ({"DATABASE_URL": url} if url else {})
    with FaultServer() as faults:
        toml = faults.toml(**PRICES)
        environment["PORT"] = str(lasting_port(random.Random()))
        program = Program(folder, toml=toml, command=command, **environment)
        program.start()
        _, key = program.user(daily_requests=10**9, daily_tokens=10**12, monthly_spend_cap_usd="1000000")
        log = folder / "answered.log"
        asking = subprocess.Popen([sys.executable, load.__file__, program.url, key, str(callers), str(log)])
        killer = Killer(program, seed)
        try:
            for _ in range(kills):
                killer.again(longest)
            time.sleep(0.3)
        finally:
            asking.kill()
            asking.wait()
            program.stop()
        with Program(folder, toml=toml, **environment) as last:  # whatever was left is replayed
            assert last.admin("GET", "/admin/holds")["holds"] == []
        place = url or folder / "data" / "gateway.db"
        return Comparison(place, log.read_text().split(), [one.nonce for one in faults.executions]), killer
