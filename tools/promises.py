"""Counts which promises of the specification are proved by a test, by collecting the tests; it runs none of them.

    python -m tools.promises             the table, and what is deferred
    python -m tools.promises --proofs    also which tests prove what

Ends with 1 when a promise is open, or a deferred one has a test.
"""

import contextlib
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import pytest

from tests.requirements import DOCUMENTS, PROMISES, Promise


class Collected:
    """A pytest plugin: keeps which test names which promise, and which file could not be collected."""

    def __init__(self) -> None:
        self.proofs: defaultdict[str, list[str]] = defaultdict(list)
        self.failures: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before anything is deselected."""
        for item in items:
            for mark in item.iter_markers("promise"):
                for name in mark.args:
                    self.proofs[name].append(item.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be collected may hide a proof."""
        if report.failed:
            self.failures.append(f"{report.nodeid} cannot be collected:\n{report.longreprtext}")


def mismatches(promises: Iterable[Promise], proofs: Mapping[str, Sequence[str]]) -> list[str]:
    """What is wrong, a sentence each: open promises, deferred ones with a test, and names that nobody promised."""
    known = {promise.id: promise for promise in promises}
    lines = [f"{name} is not a promise, yet {proofs[name][0]} names it" for name in proofs if name not in known]
    for promise in known.values():
        tests = proofs.get(promise.id)
        if promise.deferred and tests:
            lines.append(f"{promise.id} is deferred, yet {tests[0]} names it")
        elif not promise.deferred and not tests:
            lines.append(f"{promise.id} has no test: {promise.text}")
    return lines


def table(promises: Iterable[Promise], proofs: Mapping[str, Sequence[str]]) -> list[str]:
    """How many of each document are proved, deferred and open."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for promise in promises:
        state = "deferred" if promise.deferred else "proved" if proofs.get(promise.id) else "open"
        for row in (promise.id.partition("-")[0], "all"):
            counts[row].update((state, "promised"))
    columns = ("promised", "proved", "deferred", "open")
    lines = [" " * 38 + "".join(f"{column:>10}" for column in columns)]
    for name in (*DOCUMENTS, "all"):
        title = f"{name}  {DOCUMENTS.get(name, '')}"
        lines.append(f"{title:38}" + "".join(f"{counts[name][column]:>10}" for column in columns))
    return lines


def deferred(promises: Iterable[Promise]) -> list[str]:
    """The deferred promises under their reasons, neighbours as ranges."""
    reasons: dict[str, list[list[str]]] = {}
    previous = None
    for promise in promises:
        if promise.deferred:
            ranges = reasons.setdefault(promise.deferred, [])
            if ranges and previous == ranges[-1][-1]:
                ranges[-1].append(promise.id)
            else:
                ranges.append([promise.id])
        previous = promise.id
    return [f"  {', '.join(map(_range, ranges))}\n      {reason}" for reason, ranges in reasons.items()]


def _range(ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{ids[0]} to {ids[-1]}"


def main(arguments: Sequence[str]) -> int:
    """Print the account; the exit code."""
    collected = Collected()
    with contextlib.redirect_stdout(io.StringIO()):
        outcome = pytest.main(["--collect-only", "-m", ""], plugins=[collected])
    wrong = collected.failures + mismatches(PROMISES, collected.proofs)
    if outcome not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        wrong.insert(0, f"pytest could not collect the tests: {pytest.ExitCode(outcome).name.lower()}")
    print(*table(PROMISES, collected.proofs), "\ndeferred:", *deferred(PROMISES), sep="\n")
    if "--proofs" in arguments:
        print(
            "\nproved by:",
            *(f"  {name}  {test}" for name, tests in sorted(collected.proofs.items()) for test in tests),
            sep="\n",
        )
    if wrong:
        print("\nwrong:", *(f"  {line}" for line in wrong), sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
