"""`dominion audit verify`: says that the log is whole, or what was done to it."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dominion.credentials.keys import derive
from dominion.stores.sealing.keys import KeyFile, key_ring
from dominion.stores.sql.audit import PURPOSE, SqlAudit
from dominion.stores.sql.database import Database
from tests.cli.conftest import Run


@pytest.fixture
def data(folder: Path) -> Path:
    """The data folder of a gateway whose operator did ten things."""
    made = folder / "data"
    made.mkdir()
    add(made, 10)
    return made


def add(data: Path, count: int) -> None:
    async def added() -> None:
        database = Database.open(data / "gateway.db")
        audit = SqlAudit(database, derive(key_ring(KeyFile(data / "sealing.key")).root, PURPOSE))
        for number in range(count):
            await audit.append(number, "admin", "provider_enabled", "provider:p", None, {"n": number}, "")
        await database.close()

    asyncio.run(added())


def run_sql(data: Path, statement: str) -> None:
    """What somebody with the database can do."""
    with closing(sqlite3.connect(data / "gateway.db")) as connection, connection:
        connection.execute(statement)


def told(run: Run, *words: str, code: int) -> Any:
    result = run("audit", "verify", "--json", *words)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_whole_log_has_an_anchor_and_no_fault(run: Run, data: Path) -> None:
    found = told(run, code=0)
    number, _, digits = found["anchor"].partition(":")
    assert (found["entries"], found["wrong"], found["faults"], number, len(digits)) == (10, 0, [], "10", 64)
    add(data, 3)
    assert told(run, "--anchor", found["anchor"], code=0)["entries"] == 13
    run("sealing", "rotate")
    assert told(run, "--anchor", found["anchor"], code=0)["entries"] == 14
    assert run("audit", "verify").stdout.startswith("Entries: 14. Wrong: 0.\nAnchor: 14:")


def test_what_was_done_to_the_log_is_told(run: Run, data: Path) -> None:
    anchor = told(run, code=0)["anchor"]
    run_sql(data, "UPDATE audit_log SET actor = 'nobody' WHERE number = 4")
    run_sql(data, "DELETE FROM audit_log WHERE number IN (7, 8)")
    faults = [
        {"number": 4, "what": "Entry 4 is not as it was written, or does not follow the entry before it."},
        {"number": 9, "what": "Entries 7 to 8 are missing."},
    ]
    found = told(run, code=1)
    assert (found["wrong"], found["faults"]) == (2, faults)
    run_sql(data, "DELETE FROM audit_log WHERE number > 3")
    assert told(run, code=0)["entries"] == 3
    result = run("audit", "verify", "--anchor", anchor)
    assert result.exit_code == 1
    assert "The log ends at entry 3; it had 10 when the anchor was taken." in result.stderr


def test_a_log_under_another_key_is_wrong_from_end_to_end(run: Run, data: Path) -> None:
    (data / "sealing.key").unlink()
    key_ring(KeyFile(data / "sealing.key"))
    add(data, 1)
    found = told(run, code=1)
    assert (found["wrong"], [fault["number"] for fault in found["faults"]]) == (10, list(range(1, 11)))


def test_an_empty_log_is_whole_and_a_wrong_anchor_is_told(run: Run, folder: Path) -> None:
    (folder / "data").mkdir()
    add(folder / "data", 0)
    assert told(run, code=0) == {"entries": 0, "anchor": "0:", "wrong": 0, "faults": []}
    assert told(run, "--anchor", "0:", code=0)["wrong"] == 0
    for wrong in ("10", "ten:00", "0:00", "-1:" + "00" * 32, "10:" + "00" * 31):
        result = run("audit", "verify", f"--anchor={wrong}")
        assert (result.exit_code, "NUMBER:HASH" in result.stderr) == (2, True)


def test_a_file_that_anchors_stand_in_is_held_against_the_log(run: Run, data: Path) -> None:
    log = data.parent / "gateway.log"
    lines = []
    for count in (3, 4):
        lines.append(
            f"2026-11-21 WARNING dominion.alerts The audit log's anchor is {told(run, code=0)['anchor']}. (...)\n"
        )
        add(data, count)
    log.write_text("".join([*lines, *lines]))
    assert told(run, "--anchors", str(log), code=0)["entries"] == 17
    assert run("audit", "verify", "--anchors", str(log)).stdout.startswith("Entries: 17. Wrong: 0. Anchors: 2.\n")
    run_sql(data, "DELETE FROM audit_log WHERE number > 12")
    assert told(run, code=0)["entries"] == 12
    found = told(run, "--anchors", str(log), code=1)
    assert found["faults"] == [{"number": 13, "what": "The log ends at entry 12; it had 13 when the anchor was taken."}]
    (data.parent / "empty").touch()
    assert run("audit", "verify", "--anchors", str(data.parent / "empty")).exit_code == 2


def test_a_log_that_was_written_anew_with_the_sealing_key_does_not_fit_an_anchor_outside(run: Run, data: Path) -> None:
    anchor = told(run, code=0)["anchor"]
    run_sql(data, "DELETE FROM audit_log")
    run_sql(data, "UPDATE change_counters SET value = 0 WHERE name = 'audit'")
    add(data, 5)
    add(data, 6)
    assert told(run, code=0)["entries"] == 11
    assert [fault["number"] for fault in told(run, "--anchor", anchor, code=1)["faults"]] == [10]
