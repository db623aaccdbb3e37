"""Opening the database, its transactions, and what happens when it fails."""

import asyncio
import contextlib
import fcntl
import importlib
import os
import pkgutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from dominion.domain.errors import ConfigProblem, NotFound, StorageUnavailable
from dominion.stores import schema
from dominion.stores.schema.tables import METADATA
from dominion.stores.sql import database as database_module
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from dominion.stores.sql.people import SqlPeople
from tests.stores.samples import KEY, USER, row, user


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_file_its_folder_and_its_side_files_are_private(tmp_path: Path) -> None:
    database = Database.open(str(tmp_path / "deep" / "data" / "gateway.db"))
    await SqlPeople(database).add_user(USER)
    modes = {path.name: mode(path) for path in (tmp_path / "deep" / "data").iterdir()}
    await database.close()
    assert modes == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}
    assert mode(tmp_path / "deep" / "data") == 0o700


async def test_a_file_that_others_may_read_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.touch(0o644)
    await Database.open(path).close()
    assert mode(path) == 0o600


async def test_every_connection_writes_safely_and_keeps_references(database: Database) -> None:
    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    full = 2
    assert await database.read(pragmas) == await database.write(pragmas) == ["wal", full, 1, 5000]


async def test_what_was_written_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    targets: tuple[Path | str, ...] = (
        tmp_path / "gateway.db",
        str(tmp_path / "gateway.db"),
        f"sqlite:///{tmp_path}/gateway.db",
    )
    for number, target in enumerate(targets, 1):
        database = Database.open(target)
        await SqlPeople(database).add_user(user(number))
        assert await SqlPeople(database).users() == [user(one) for one in range(1, number + 1)]
        await database.close()
        await database.close()  # idempotent


def test_many_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(Database.open, [tmp_path / "gateway.db"] * 8))
    for one in opened:
        asyncio.run(one.close())


def test_one_at_a_time_opens_the_databases_of_a_folder(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    asyncio.run(Database.open(here / "gateway.db").close())
    lock = os.open(here, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as thread:
        opening = thread.submit(Database.open, here / "gateway.db")
        for _ in range(3):
            asyncio.run(Database.open(elsewhere / "gateway.db").close())
        waited = not opening.done()
        os.close(lock)
    asyncio.run(opening.result().close())
    assert waited


async def test_work_that_fails_leaves_nothing_behind(database: Database) -> None:
    people = SqlPeople(database)

    def work(connection: Connection) -> None:
        connection.execute(text("INSERT INTO settings VALUES ('a', x'00')"))
        raise NotFound("no such thing")

    with pytest.raises(NotFound):
        await database.write(work)
    assert await database.read(lambda connection: connection.execute(text("SELECT * FROM settings")).all()) == []
    await people.add_user(USER)


async def test_readers_see_the_state_before_a_write_that_still_runs_and_do_not_wait_for_it(database: Database) -> None:
    people = SqlPeople(database)
    wrote, go_on = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        connection.execute(text("INSERT INTO settings VALUES ('a', x'00')"))
        wrote.set()
        assert go_on.wait(30)

    writing = asyncio.create_task(database.write(work))
    await asyncio.to_thread(wrote.wait, 30)
    count = text("SELECT count(*) FROM settings")
    seen = await asyncio.gather(
        *(database.read(lambda connection: connection.execute(count).scalar()) for _ in range(6))
    )
    waiting = asyncio.create_task(people.add_user(USER))
    assert (seen, writing.done(), waiting.done()) == ([0] * 6, False, False)
    go_on.set()
    await asyncio.gather(writing, waiting)
    assert await database.read(lambda connection: connection.execute(count).scalar()) == 1


async def test_a_write_waits_for_another_process_that_holds_the_lock(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    writing = asyncio.create_task(SqlPeople(database).add_user(USER))
    assert await SqlPeople(database).users() == []
    assert not writing.done()
    other.execute("COMMIT")
    other.close()
    await writing
    assert await SqlPeople(database).users() == [USER]


async def test_a_lock_that_is_held_too_long_is_an_outage_and_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "SQLITE_BUSY_SECONDS", 0)
    database = Database.open(tmp_path / "gateway.db")
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageUnavailable) as refused:
        await SqlLedger(database).add([row(1)])
    with pytest.raises(StorageUnavailable, match="does not answer: database is locked"):
        Database.open(tmp_path / "gateway.db")
    other.execute("ROLLBACK")
    other.close()
    assert await SqlLedger(database).add([row(1)]) == 1
    assert str(refused.value) == "The gateway's database is not available."
    await database.close()


async def test_an_error_of_the_driver_shows_neither_sql_nor_values(database: Database) -> None:
    await SqlPeople(database).add_user(USER)
    await database.write(lambda connection: connection.execute(text("DROP TABLE api_keys")))
    with pytest.raises(StorageUnavailable) as refused:
        await SqlPeople(database).add_key(KEY)
    assert "api_keys" not in str(refused.value)
    assert KEY.hash not in f"{refused.value} {refused.value.__cause__}"


async def test_the_database_takes_writes_again_after_the_disk_was_full(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "gateway.db")
    people = SqlPeople(database)
    limit = await database.write(
        lambda connection: [
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar() for pages in (1, 60)
        ]
    )
    assert limit[1] == 60
    taken, refused = [], 0
    for number in range(200):
        try:
            await people.add_user(user(number, name="x" * 2000))
            taken.append(f"usr_{number}")
        except StorageUnavailable:
            refused += 1
    assert refused > 0
    await database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1000").scalar())
    await people.add_user(user(999))
    assert {one.id for one in await people.users(limit=1000)} == {*taken, "usr_999"}
    await database.close()


def damaged_in_front(path: Path) -> None:
    path.write_bytes(b"this is no database, whatever its name says" * 100)


def damaged_in_a_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 3 + 64] = b"\xff" * 64
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 * 5])


@pytest.mark.parametrize("damage", [damaged_in_front, damaged_in_a_page, cut_short])
async def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "gateway.db"
    database = Database.open(path)
    await SqlLedger(database).add([row(number) for number in range(100)])
    await database.close()
    damage(path)
    with pytest.raises(ConfigProblem, match=f"{path} is damaged") as refused:
        Database.open(path)
    assert "backup" in refused.value.action
    assert f"sqlite3 {path} .recover" in refused.value.action


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (name)")
    with pytest.raises(ConfigProblem, match=f"{path} holds tables of another program"):
        Database.open(path)
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("mysql://host/name", "kind mysql are not supported"),
        ("postgresql://user@host:port/name", "not of the form"),
    ],
)
def test_an_address_that_cannot_serve_is_refused(target: str, sentence: str) -> None:
    with pytest.raises(ConfigProblem, match=sentence):
        Database.open(target)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigProblem, match="cannot be made or kept private"):
        Database.open(tmp_path / "file" / "gateway.db")
    with pytest.raises(ConfigProblem, match="cannot be opened: unable to open"):
        Database.open(tmp_path)


def test_a_start_imports_neither_alembic_nor_the_mapper(tmp_path: Path) -> None:
    program = (
        "import sys, asyncio; from dominion.stores.sql.database import Database\n"
        "for _ in range(2): asyncio.run(Database.open(sys.argv[1]).close())\n"
        "print([name for name in ('alembic', 'sqlalchemy.orm', 'sqlalchemy.ext.asyncio') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "gateway.db")]
    assert subprocess.run(command, capture_output=True, check=True, timeout=60).stdout == b"[]\n"


def test_a_program_that_only_opens_the_database_makes_every_table(tmp_path: Path) -> None:
    file = tmp_path / "gateway.db"
    program = (
        "import sys; from dominion.stores.sql.database import Database; Database.open(sys.argv[1]).engine.dispose()"
    )
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, timeout=60)
    for module in pkgutil.iter_modules(schema.__path__, f"{schema.__name__}."):
        importlib.import_module(module.name)
    with contextlib.closing(sqlite3.connect(file)) as opened:
        made = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert made >= set(METADATA.tables)
