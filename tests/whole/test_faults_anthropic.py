"""The same faults, done by Anthropic's own API: there is one slot of it, so the prompt names the fault."""

import pytest

from tests.emulators.fault_server import FaultServer
from tests.emulators.faults import FAULTS
from tests.whole.fault_cases import (
    GROWTH,
    KEY,
    Case,
    Run,
    by_case,
    cases,
    check_answer,
    check_no_hold,
    check_row,
    check_unmixed,
    run_all,
    slot,
)
from tests.whole.heard import ANTHROPIC, OPENAI

CASES = cases("anthropic_messages", [name for name in FAULTS if name != "refused"], (OPENAI, ANTHROPIC))
ONE_SLOT = [case for case in CASES if case.slots == 1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With two slots the model is "auto", the one name that both serve in this order."""
    with FaultServer() as faults:
        environment = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": faults.base_url("prompted")}
        models = {case: "auto" if case.slots == 2 else f"anthropic/m-{case.name}" for case in CASES}
        toml = slot("second", faults.base_url("well-omega"), "warm")
        return run_all(tmp_path_factory.mktemp("faults"), toml, models, **environment)


@by_case(CASES)
def test_the_caller_gets_the_right_answer_or_a_clear_error(run: Run, case: Case) -> None:
    check_answer(case, run.outcomes[case.name])


@by_case(ONE_SLOT)
def test_a_fault_leaves_one_row_in_bounded_time(run: Run, case: Case) -> None:
    check_row(case, run.outcomes[case.name])


def test_there_are_as_many_rows_as_requests(run: Run) -> None:
    assert run.totals["requests"] + run.totals["failed"] == len(CASES)


def test_no_answer_is_mixed_from_two_slots(run: Run) -> None:
    for outcome in run.outcomes.values():
        check_unmixed(outcome)


def test_no_hold_is_left(run: Run) -> None:
    check_no_hold(run)


def test_the_program_does_not_grow(run: Run) -> None:
    assert run.grown < GROWTH
