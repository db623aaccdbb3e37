"""A schema that is being brought up to date when its process is killed, with a million rows (DOMINION_TEST_ROWS), on
both databases, 20 times (DOMINION_TEST_KILLS): the next start finishes it, and nothing is lost.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from dominion.stores.schema.tables import HEAD
from tests.stores.older import FIRST, engine_of, make_first

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.soak
ROWS = int(os.environ.get("DOMINION_TEST_ROWS", "1000000"))
KILLS = int(os.environ.get("DOMINION_TEST_KILLS", "20"))
OPEN = """
import asyncio, sys
from sqlalchemy import text
from dominion.stores.sql.database import Database
from dominion.stores.migrations import upgrade

steps = upgrade.upgrade
def longer(connection, revision, *rest, **named):
    steps(connection, revision, *rest, **named)
    {step}
upgrade.upgrade = longer
print("begins", flush=True)
database = Database.open(sys.argv[1])
asyncio.run(database.close())
print("ended", flush=True)
"""
CHANGE = "connection.execute(text('UPDATE usage SET latency_ms = latency_ms + 1 WHERE at % 10 = 0'))"
"""A step after the real ones that writes a tenth of the rows anew, as a release may need one day."""
WAIT = CHANGE + "; print('changed', flush=True); sys.stdin.readline()"
"""The same, and then it stays in its transaction until it is killed."""
CARELESS = """for part in range(10):
        connection.exec_driver_sql(f"UPDATE usage SET latency_ms = latency_ms + 1 WHERE at - at / 10 * 10 = {part}")
        connection.exec_driver_sql("COMMIT")
        print("changed", flush=True)
        sys.stdin.readline()
        connection.exec_driver_sql("BEGIN")"""
"""The control: pieces, each in a transaction of its own."""


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path / "gateway.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def opened(target: Path | str, step: str) -> subprocess.Popen[str]:
    """A process that opens the database, and so brings its schema up to date."""
    command = [sys.executable, "-c", OPEN.format(step=step), str(target)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    says(process, "begins")
    return process


def says(process: subprocess.Popen[str], line: str) -> float:
    """Seconds until it does."""
    began = time.monotonic()
    assert process.stdout is not None
    assert process.stdout.readline() == f"{line}\n"
    return time.monotonic() - began


def state(target: Path | str) -> tuple[str, int, int, int]:
    """Revision, rows, their money, and how many rows the long step has changed."""
    engine = engine_of(target)
    with engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            connection.execute(text("SET statement_timeout = 0"))
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        count, money, latency = connection.execute(
            text("SELECT count(*), sum(cost_nano), sum(latency_ms) FROM usage")
        ).one()
    engine.dispose()
    return revision, int(count), int(money), int(latency) - 900 * int(count)


def money_of(rows: int) -> int:
    return 7 * rows * (rows + 1) // 2


def make_old(target: Path | str) -> None:
    engine = engine_of(target)
    make_first(engine, ROWS)
    engine.dispose()


def test_a_migration_that_is_killed_again_and_again_is_finished_by_the_next_start(target: Path | str) -> None:
    make_old(target)
    before = state(target)
    assert before == (FIRST, ROWS, money_of(ROWS), 0)
    chance = random.Random(KILLS)
    longest = 0.0
    for _ in range(KILLS):
        with opened(target, WAIT) as process:
            if not longest:
                longest = says(process, "changed")
            else:
                time.sleep(chance.uniform(0, longest))
            process.kill()
        assert state(target) == before
    with opened(target, CHANGE) as process:
        took = says(process, "ended")
    sys.stdout.write(
        f"Migration of {ROWS} rows on {'SQLite' if isinstance(target, Path) else 'PostgreSQL'}: killed {KILLS} times"
        f" within {longest:.1f} s, finished by the next start in {took:.1f} s\n"
    )
    assert state(target) == (HEAD, ROWS, money_of(ROWS), ROWS // 10)


def test_the_control_that_commits_in_pieces_is_left_half_done(target: Path | str) -> None:
    make_old(target)
    with opened(target, CARELESS) as process:
        for _ in range(5):
            says(process, "changed")
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        process.kill()
    with opened(target, "pass") as process:
        says(process, "ended")
    revision, rows, _, changed = state(target)
    assert (revision, rows) == (HEAD, ROWS)
    assert 0 < changed < ROWS
