"""Everything that compatible providers do, to the running program, with one slot and with two.

All cases run at once, each against slots of its own, so that no case opens the breaker of another; the tests then look
at what became of each.
"""

import pytest

from tests.emulators.fault_server import FaultServer
from tests.emulators.faults import FAULTS
from tests.whole.fault_cases import (
    GROWTH,
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

CASES = cases("openai_chat", FAULTS, (OPENAI, ANTHROPIC))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with FaultServer() as faults:
        shared = [f"m-{case.name}" for case in CASES if case.slots == 2]
        tables = [slot(case.name, faults.base_url(case.fault, case.name), f"m-{case.name}") for case in CASES]
        tables.append(slot("second", faults.base_url("well-omega"), "warm", *shared))
        models = {case: f"m-{case.name}" if case.slots == 2 else f"{case.name}/m-{case.name}" for case in CASES}
        return run_all(tmp_path_factory.mktemp("faults"), "".join(tables), models)


@pytest.mark.promise("003-007", "003-215", "004-012")
@by_case(CASES)
def test_the_caller_gets_the_right_answer_or_a_clear_error(run: Run, case: Case) -> None:
    check_answer(case, run.outcomes[case.name])


@by_case(CASES)
def test_a_fault_leaves_one_row_in_bounded_time(run: Run, case: Case) -> None:
    check_row(case, run.outcomes[case.name])


def test_no_answer_is_mixed_from_two_slots(run: Run) -> None:
    for outcome in run.outcomes.values():
        check_unmixed(outcome)


def test_no_hold_is_left(run: Run) -> None:
    check_no_hold(run)


def test_the_program_does_not_grow(run: Run) -> None:
    assert run.grown < GROWTH
