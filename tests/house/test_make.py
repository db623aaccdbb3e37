"""The words of the Makefile do what they say, and the watcher starts again on a change."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PATIENCE = 30.0

# A child that says that it has started, then waits to be ended.
CHILD = "import signal, sys; print('started', flush=True); signal.pause()"


def make(*arguments: str) -> str:
    """What make prints; with -n, what it would run."""
    run = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607 - wherever make is
    return run.stdout


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints, within a while."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    assert ready, "nothing was printed"
    return process.stdout.readline()


def test_help_names_every_word_that_people_type() -> None:
    public = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    shown = set(re.findall(r"^  make ([a-z-]+)", make("help"), re.MULTILINE))
    assert shown == public
    assert {"run", "run-local", "dev", "test", "test-watch", "check", "bench", "soak", "promises", "pins"} <= public


def test_every_word_is_declared_to_be_no_file() -> None:
    public = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    declared = set(MAKEFILE.partition(".PHONY:")[2].replace("\\", " ").split())
    assert public <= declared


@pytest.mark.promise("001-016")
def test_one_word_installs_what_is_pinned_and_only_with_its_hashes() -> None:
    assert "--require-hashes --only-binary=:all: -r" in make("-n", "--always-make", "run")


@pytest.mark.promise("001-066")
def test_one_word_runs_the_tests_all_of_them_in_two_processes_and_some_in_one() -> None:
    assert ".venv/bin/python -m pytest -n 2 " in make("-n", "test", "ARGS=")
    some = "tests/rules -k budget"
    assert f".venv/bin/python -m pytest {some}\n" in make("-n", "test", f"ARGS={some}")


@pytest.mark.parametrize("word", ["soak", "bench", "coverage"])
def test_what_is_measured_is_measured_in_one_process(word: str) -> None:
    assert "-n 2" not in make("-n", word, "ARGS=")


@pytest.mark.promise("001-068")
def test_one_word_checks_the_types_of_everything() -> None:
    assert ".venv/bin/mypy" in make("-n", "types")


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The watcher of tmp_path, with a child that waits."""
    command = [sys.executable, "-m", "tools.watch", str(tmp_path), "--", sys.executable, "-c", CHILD]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


@pytest.mark.promise("001-017", "001-067")
def test_a_change_starts_the_command_again(watcher: subprocess.Popen[str], tmp_path: Path) -> None:
    assert line(watcher) == "started\n"
    (tmp_path / "new.py").write_text("x = 1\n", encoding="utf-8")
    assert line(watcher) == "started\n"
    os.utime(tmp_path / "new.py", ns=(1, 1))
    assert line(watcher) == "started\n"
    for word in ("dev", "test-watch"):
        assert "-m tools.watch" in make("-n", word)


def test_the_watcher_ends_its_child_when_it_is_ended(watcher: subprocess.Popen[str]) -> None:
    assert line(watcher) == "started\n"
    watcher.send_signal(signal.SIGTERM)
    assert watcher.wait(PATIENCE) == 0
    assert line(watcher) == ""


def test_the_watcher_explains_itself_when_called_wrongly() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tools.watch", "src"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (2, "use: python -m tools.watch FOLDER... -- COMMAND...\n")
