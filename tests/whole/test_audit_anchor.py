"""The running gateway logs each head of its audit log once, and that shows what is done to the audit log later."""

import contextlib
import sqlite3
from pathlib import Path

from tests.whole.program import Program
from tests.whole.test_backup import run

SAYS = "The audit log's anchor is"


def test_an_anchor_in_the_gateways_own_log_shows_that_the_end_was_cut_off(folder: Path) -> None:
    log = folder / "gateway.log"
    with Program(folder, AUDIT_ANCHOR_SECONDS="0.2", WORKERS="2") as program:
        for _ in range(2):
            program.admin("POST", "/admin/users", {"name": "Ada"})
            newest = max(entry["number"] for entry in program.admin("GET", "/admin/audit")["entries"])
            program.wait_for_line(f"{SAYS} {newest}:")
        program.stop()
        log.write_text("".join(program.lines))
        anchors = {line.split(SAYS)[1].split()[0] for line in program.lines if SAYS in line}
        assert len(anchors) == sum(SAYS in line for line in program.lines)  # each is told by one of both workers
        assert run(program, "audit", "verify", "--anchors", str(log)).returncode == 0
        with contextlib.closing(sqlite3.connect(folder / "data" / "gateway.db")) as database, database:
            database.execute("delete from audit_log where number = (select max(number) from audit_log)")
        assert run(program, "audit", "verify").returncode == 0
        found = run(program, "audit", "verify", "--anchors", str(log))
        assert (found.returncode, "when the anchor was taken" in found.stderr) == (1, True)
