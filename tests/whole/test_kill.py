"""kill -9 at random moments under load: nothing that was answered is lost, nothing is doubled, and it serves again."""

import os
import sys
from pathlib import Path

import pytest

from tests.soak.kills import kill_again_and_again

LATE = (sys.executable, "-m", "tests.whole.late_journal")


@pytest.mark.promise("001-008")
def test_a_few_kills_lose_nothing_and_double_nothing(folder: Path) -> None:
    count, _ = kill_again_and_again(folder, kills=3, seed=1)
    count.check()


def test_the_control_with_a_journal_written_after_the_answer_loses_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
    count, _ = kill_again_and_again(folder, kills=3, seed=1, command=LATE)
    sys.stdout.write(f"{count}\n")
    assert count.lost > 0, count
    with pytest.raises(AssertionError):
        count.check()
