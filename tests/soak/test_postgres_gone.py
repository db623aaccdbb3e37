"""R22: PostgreSQL killed three times under load, and gone for ten minutes (DOMINION_TEST_OUTAGE seconds): nothing is
lost, requests flow until the journals are full, then whatever costs money is refused, and all comes back by itself.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.servers.programs import Postgres
from tests.soak.kills import PRICES
from tests.soak.ledger import Comparison
from tests.soak.steady import Steady
from tests.whole.faultd import FaultServer
from tests.whole.program import COMMAND, Program

OUTAGE = float(os.environ.get("DOMINION_TEST_OUTAGE", "600"))
PAUSE = float(os.environ.get("DOMINION_TEST_PAUSE", "20"))
RATE = float(os.environ.get("DOMINION_TEST_RATE", "100"))
BYTES = 300
"""Of the journal for one request, about."""
AGAIN_SECONDS = 5.0
SLOWEST_MS = 2000.0
FORGETFUL = (sys.executable, "-m", "tests.soak.forgetful_posting")

pytestmark = pytest.mark.soak


class Experiment:
    """Two workers under a constant load while their server comes and goes. `gone` and `back`: the moments of it."""

    def __init__(
        self, folder: Path, server: Postgres, *, limit_mb: int = 256, command: Sequence[str] = COMMAND
    ) -> None:
        self._folder = folder
        self._server = server
        self._environment = {"DATABASE_URL": server.url("postgres"), "JOURNAL_LIMIT_MB": str(limit_mb), "WORKERS": "2"}
        self._command = command
        self.gone: list[float] = []
        self.back: list[float] = []

    def run(self, outages: int, there: float, away: float) -> Comparison:
        """So many times the server is there for some seconds and then is not; at the end it is there again."""
        with FaultServer() as faults:
            toml = faults.toml(**PRICES)
            with Program(self._folder, toml=toml, command=self._command, **self._environment) as program:
                _, key = program.user()
                for _ in range(10):  # so that every worker knows it
                    program.chat(key, model="faults/drip-1-1")
                with Steady(program.url, key, RATE, self._folder / "steady.log") as self.steady:
                    for _ in range(outages):
                        time.sleep(there)
                        self.gone.append(time.monotonic())
                        self._server.kill()
                        time.sleep(away)
                        self._server.start()
                        self.back.append(time.monotonic())
                    time.sleep(max(2 * AGAIN_SECONDS, there))
        answered = [one.name for one in self.steady.asked if one.status == 200]
        asked = [one.nonce for one in faults.executions if one.nonce.startswith("s")]
        return Comparison(self._environment["DATABASE_URL"], answered, asked)

    def again(self) -> float:
        """The longest time from the return of the server until nothing was refused any more."""
        refused = [one for one in self.steady.asked if one.status != 200]
        late = [0.0]
        for back, gone in zip(self.back, [*self.gone[1:], float("inf")], strict=True):
            late += [one.at - back for one in refused if back <= one.at < gone]
        return max(late)


def test_a_server_that_is_killed_and_comes_back_three_times_under_load_costs_no_row(
    folder: Path, own_postgres: Postgres
) -> None:
    experiment = Experiment(folder, own_postgres)
    count = experiment.run(3, PAUSE, PAUSE)
    whole = experiment.steady.phase(0, float("inf"))
    sys.stdout.write(f"R22 killed three times, away {PAUSE:g} s each: {whole}; {count}\n")
    count.check()
    assert set(whole.statuses) == {200}


def test_a_long_outage_fills_the_journals_and_everything_comes_back(folder: Path, own_postgres: Postgres) -> None:
    limit = max(1, int(OUTAGE * RATE * BYTES / 4) >> 20)  # of each worker: they are full after half of the time
    experiment = Experiment(folder, own_postgres, limit_mb=limit)
    count = experiment.run(1, PAUSE, OUTAGE)
    steady = experiment.steady
    meanwhile = steady.phase(experiment.gone[0], experiment.back[0])
    refused = [one for one in steady.asked if one.status != 200]
    sys.stdout.write(
        f"R22 away {OUTAGE:g} s with journals of {limit} MiB: meanwhile {meanwhile}; the first refusal after"
        f" {refused[0].at - experiment.gone[0] if refused else -1:.0f} s, the last {experiment.again():.2f} s after its"
        f" return; {count}\n"
    )
    count.check()
    assert set(meanwhile.statuses) == {200, 503}
    assert all(one.told_when for one in refused)
    assert experiment.again() <= AGAIN_SECONDS
    assert meanwhile.p99_ms <= SLOWEST_MS


@pytest.mark.usefixtures("importable")
def test_the_control_that_drops_what_the_database_does_not_take_loses_rows(
    folder: Path, own_postgres: Postgres
) -> None:
    count = Experiment(folder, own_postgres, command=FORGETFUL).run(1, 2.0, 3.0)
    sys.stdout.write(f"R22 control: {count}\n")
    assert count.lost > 0
    with pytest.raises(AssertionError):
        count.check()
