"""`dominion backup` while callers ask, and `dominion restore` elsewhere: the ledger is the same to the nano-dollar."""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.whole.callers import Callers
from tests.whole.program import COMMAND, Program


def run(program: Program, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command of the operator's, in the folder and with the settings of this program."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=program.folder,
        env=program.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def told(program: Program, *words: str) -> Any:
    """What such a command says as JSON."""
    done = run(program, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ledger(program: Program) -> dict[str, int]:
    """Row ids and their cost."""
    with contextlib.closing(sqlite3.connect(program.folder / "data" / "gateway.db")) as database:
        return dict(database.execute("select id, cost_nano from usage").fetchall())


async def test_a_backup_under_load_holds_what_was_settled_and_restores_to_the_same_sums(folder: Path) -> None:
    file = folder / "dominion.backup"
    toml = '[prices."stub/echo"]\ninput = 1\noutput = 3\n'
    with Program(folder, WORKERS="2", toml=toml) as program:
        user, key = program.user()
        async with Callers(program.url, key, 3) as callers:
            for _ in range(100):
                assert (await asyncio.to_thread(program.chat, key)).status == 200
            before = callers.answered.total() + 100
            made = await asyncio.to_thread(told, program, "backup", "--with-key", str(file))
        assert callers.failed == []
    assert file.stat().st_mode & 0o777 == 0o600
    assert before <= made["rows"] <= len(ledger(program))

    elsewhere = Program(folder.parent / "elsewhere", toml=toml)
    assert told(elsewhere, "restore", str(file)) == made | {"sealing_key": "restored"}
    restored = ledger(elsewhere)
    assert len(restored) == made["rows"]
    assert restored.items() <= ledger(program).items()
    with elsewhere:
        totals = elsewhere.usage(user)
        assert (totals["requests"], totals["cost_usd"]) == (made["rows"], made["cost_usd"])
        assert elsewhere.chat(key).status == 200


def test_rows_that_only_the_journal_holds_are_in_the_backup(folder: Path) -> None:
    program = Program(folder)
    program.start()
    key = program.user()[1]
    for _ in range(30):
        assert program.chat(key).status == 200
    program.kill()
    posted = len(ledger(program))
    assert told(program, "backup", "it")["rows"] == 30
    assert len(ledger(program)) == posted  # it changes nothing


def test_without_its_key_a_backup_says_that_nothing_can_be_opened_and_nothing_can(folder: Path) -> None:
    with Program(folder) as program:
        key = program.user()[1]
        assert told(program, "backup", "it")["sealing_key"] == "not backed up"
    with tarfile.open(folder / "it") as archive:
        assert archive.getnames() == ["manifest.json", "sqlite"]
    secret = (folder / "data" / "sealing.key").read_bytes()
    assert secret not in (folder / "it").read_bytes()

    elsewhere = Program(folder.parent / "elsewhere")
    done = run(elsewhere, "restore", str(folder / "it"))
    assert "the sealing key that belongs to it is neither in the backup nor here" in done.stderr
    with elsewhere:
        assert elsewhere.chat(key).status == 401
    shutil.rmtree(elsewhere.folder / "data")

    (elsewhere.folder / "data").mkdir(mode=0o700)
    shutil.copy(folder / "data" / "sealing.key", elsewhere.folder / "data" / "sealing.key")
    assert told(elsewhere, "restore", str(folder / "it"))["sealing_key"] == "here"
    with elsewhere:
        assert elsewhere.chat(key).status == 200


def test_nothing_is_replaced_unless_it_is_asked_for_and_never_under_a_running_gateway(folder: Path) -> None:
    with Program(folder) as program:
        key = program.user()[1]
        told(program, "backup", "--with-key", "it")
        refused = run(program, "restore", "--force", "it")
        assert (refused.returncode, refused.stderr.splitlines()[0]) == (1, "Error: The gateway runs.")
        assert program.chat(key).status == 200
    assert "There is a database already." in run(program, "restore", "it").stderr
    assert len(ledger(program)) == 1
    assert told(program, "restore", "--force", "it")["rows"] == 0
    assert len(ledger(program)) == 0
    with contextlib.closing(sqlite3.connect(folder / "data" / "gateway.db.before-restore")) as replaced:
        assert replaced.execute("select count(*) from usage").fetchone() == (1,)


def test_a_sealing_key_that_is_another_one_is_replaced_only_by_force(folder: Path) -> None:
    with Program(folder) as program:
        told(program, "backup", "--with-key", "it")
    other = Program(folder.parent / "other")
    with other:
        pass
    (other.folder / "data" / "gateway.db").unlink()
    assert "holds another sealing key" in run(other, "restore", str(folder / "it")).stderr
    assert not (other.folder / "data" / "gateway.db").exists()
    assert told(other, "restore", "--force", str(folder / "it"))["sealing_key"] == "restored"
    keys = [each.folder / "data" / "sealing.key" for each in (program, other)]
    assert keys[0].read_bytes() == keys[1].read_bytes()


def cut(file: Path) -> None:
    """Lose the second half."""
    os.truncate(file, file.stat().st_size // 2)


def none(file: Path) -> None:
    """Something else under its name."""
    file.write_bytes(b"no tar at all")


@pytest.mark.parametrize("harm", [cut, none], ids=["cut", "no backup"])
def test_a_file_that_is_no_whole_backup_restores_nothing(folder: Path, harm: Any) -> None:
    with Program(folder) as program:
        told(program, "backup", "it")
    harm(folder / "it")
    elsewhere = Program(folder.parent / "elsewhere")
    done = run(elsewhere, "restore", str(folder / "it"))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "cannot be read as a backup" in done.stderr
    assert list((elsewhere.folder / "data").iterdir()) == []


def test_where_there_is_no_gateway_there_is_nothing_to_back_up(folder: Path) -> None:
    done = run(Program(folder), "backup", "it")
    assert done.returncode == 1
    assert "There is no gateway in" in done.stderr
    assert not (folder / "it").exists()
