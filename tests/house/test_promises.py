"""Each promise of the specification is proved by a test that names it, or deferred with its reason; never both."""

import subprocess
import sys

import pytest

from tests.house.source import ROOT
from tests.requirements import PROMISES, Promise
from tools.promises import Collected, deferred, mismatches, table

MADE_UP = (
    Promise("900-001", "proved"),
    Promise("900-002", "open"),
    Promise("900-003", "waits", deferred="for rain"),
    Promise("900-004", "early", deferred="for snow"),
)
PROOFS = {"900-001": ["test_a.py::test_one"], "900-004": ["test_a.py::test_two"], "900-009": ["test_a.py::test_three"]}


def test_every_promise_is_proved_or_deferred_and_never_both(request: pytest.FixtureRequest) -> None:
    collected = request.config.pluginmanager.get_plugin("promises")
    assert isinstance(collected, Collected)
    if request.config.args_source is pytest.Config.ArgsSource.TESTPATHS:  # this very run has collected all tests
        assert mismatches(PROMISES, collected.proofs) == []
        return
    run = subprocess.run(
        [sys.executable, "-m", "tools.promises"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if run.returncode:
        pytest.fail(run.stdout + run.stderr, pytrace=False)


def test_the_list_holds_every_number_of_the_five_documents_once() -> None:
    counts = {"000": 81, "001": 69, "002": 67, "003": 237, "004": 108}
    expected = [f"{document}-{number:03}" for document, count in counts.items() for number in range(1, count + 1)]
    assert [promise.id for promise in PROMISES] == expected


def test_an_open_promise_an_early_proof_and_an_unknown_name_are_each_reported() -> None:
    assert mismatches(MADE_UP, PROOFS) == [
        "900-009 is not a promise, yet test_a.py::test_three names it",
        "900-002 has no test: open",
        "900-004 is deferred, yet test_a.py::test_two names it",
    ]


def test_the_table_counts_what_is_proved_deferred_and_open() -> None:
    assert table(MADE_UP, PROOFS)[-1].split() == ["all", "4", "1", "2", "1"]


def test_deferred_promises_stand_under_their_reasons_and_neighbours_as_a_range() -> None:
    made_up = (*MADE_UP, Promise("900-005", "later", deferred="for snow"))
    assert deferred(made_up) == ["  900-003\n      for rain", "  900-004 to 900-005\n      for snow"]
