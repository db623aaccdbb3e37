"""What a killed process and a full disk leave: every record and row that was acknowledged, whole."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from dominion.domain.records import JournalRecord
from dominion.stores.files.journal import FileJournal
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from tests.stores.samples import DAY, MONTH, hold, row


def started(program: str, path: Path, root: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.stores.programs", program, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)


def killed(child: subprocess.Popen[str], after: int) -> list[int]:
    """Kill a program when it has said so many lines; the numbers in all that it said."""
    assert child.stdout
    said = [child.stdout.readline() for _ in range(after)]
    child.kill()
    return [int(line) for line in [*said, *child.stdout]]


def record(number: int) -> JournalRecord:
    """What the program appended with this number."""
    return hold(number) if number % 2 else row(number)


def replayed(folder: Path) -> list[JournalRecord]:
    journal = FileJournal(folder)
    records = journal.replay()
    journal.close()
    return records


@pytest.mark.parametrize("seed", range(20))
def test_every_record_acknowledged_before_the_kill_is_replayed(seed: int, tmp_path: Path, root: Path) -> None:
    with started("append_for_ever", tmp_path, root) as child:
        said = killed(child, random.Random(seed).randrange(1, 3_000))
    assert said == list(range(len(said)))
    records = replayed(tmp_path)
    assert records == [record(number) for number in range(len(records))]
    # At most one record was taken and not yet acknowledged.
    assert len(said) <= len(records) <= len(said) + 1


def test_on_a_full_disk_every_record_is_either_refused_or_there(
    tmp_path: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with started("append_on_a_full_disk", tmp_path, root) as child:
        assert child.stdout
        *taken, last = child.stdout.read().splitlines()
    assert int(last.removeprefix("refused ")) == 1000 - len(taken) > 100
    assert replayed(tmp_path) == [row(int(number)) for number in taken]
    assert caplog.messages == []  # nothing was left of those that were refused


@pytest.mark.parametrize("seed", range(2))
async def test_every_row_acknowledged_before_the_kill_is_in_the_ledger_with_its_sums(
    seed: int, tmp_path: Path, root: Path
) -> None:
    with started("add_for_ever", tmp_path / "gateway.db", root) as child:
        said = killed(child, random.Random(seed).randrange(1, 200))
    database = Database.open(tmp_path / "gateway.db")
    ledger = SqlLedger(database)
    rows = await ledger.rows(user_id=None, limit=100_000)
    day, month = await ledger.totals("usr_1", DAY, MONTH)
    await database.close()
    assert day.requests == month.requests == len(rows)
    assert said[-1] <= len(rows) <= said[-1] + 10
    assert len(rows) % 10 == 0
