"""The steps between schemas: together they make exactly the schema that a fresh database gets."""

import asyncio
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from dominion.domain.errors import ConfigProblem
from dominion.stores import migrations
from dominion.stores.migrations.upgrade import upgrade
from dominion.stores.schema.tables import HEAD, METADATA
from dominion.stores.sql.database import Database
from dominion.stores.sql.people import SqlPeople
from tests.stores.implementations import DATABASES
from tests.stores.older import engine_of, make_first
from tests.stores.samples import USER

SLACK = 3.0
"""Seconds for a machine with other things to do."""
FOLDER = Path(migrations.__file__).parent
NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{number}", "{before}", None, None


def upgrade():
    {step}
"""


@pytest.fixture(params=DATABASES)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database with transactions as `Database` has them."""
    engine = engine_of(
        tmp_path / "migrated.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    yield engine
    engine.dispose()


@pytest.fixture
def fresh(empty: Engine, tmp_path: Path) -> Iterator[Engine]:
    """A database that the program has made, on the engine of `empty`."""
    if empty.dialect.name == "sqlite":
        database = Database.open(tmp_path / "fresh.db")
        yield database.engine
        asyncio.run(database.close())
        return
    url = empty.url.set(database=f"fresh_{empty.url.database}")
    with psycopg.connect(address_of(empty.url), autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(str(url.database))))
        database = Database.open(address_of(url))
        yield database.engine
        asyncio.run(database.close())
        connection.execute(psycopg.sql.SQL("DROP DATABASE {}").format(psycopg.sql.Identifier(str(url.database))))


def address_of(url: URL) -> str:
    """What an operator would write."""
    return url.set(drivername="postgresql", query={"host": url.query["host"]}).render_as_string(hide_password=False)


def described(connection: Connection) -> dict[str, object]:
    """Everything that the database can say about its tables."""
    found = inspect(connection)
    return {
        name: [
            [{**column, "type": column["type"].compile(connection.dialect)} for column in found.get_columns(name)],
            found.get_pk_constraint(name),
            found.get_foreign_keys(name),
            found.get_unique_constraints(name),
            found.get_check_constraints(name),
            found.get_table_options(name),
            sorted(found.get_indexes(name), key=str),
        ]
        for name in found.get_table_names()
    }


def revision_of(connection: Connection) -> str | None:
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def with_next(folder: Path, step: str, number: str = "9999") -> Path:
    """A copy of the migrations with one more revision."""
    if not folder.exists():
        shutil.copytree(FOLDER, folder)
    (folder / "versions" / f"r{number}_next.py").write_text(NEXT.format(number=number, before=HEAD, step=step))
    return folder


def test_a_fresh_database_is_what_all_migrations_make(empty: Engine, fresh: Engine) -> None:
    with empty.begin() as migrated, fresh.begin() as made:
        upgrade(migrated, None)
        assert described(migrated) == described(made)
        assert set(described(made)) == {*METADATA.tables, "alembic_version"}
        assert revision_of(migrated) == revision_of(made) == HEAD
        assert compare_metadata(MigrationContext.configure(migrated, opts={"compare_type": True}), METADATA) == []


async def test_an_older_database_is_upgraded_when_it_is_opened(target: Path | str) -> None:
    old = engine_of(target)
    with old.begin() as connection:
        # A database before the first revision: Alembic's table, and nothing else.
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    old.dispose()
    for _ in range(2):
        database = Database.open(target)
        assert await database.read(revision_of) == HEAD
        await database.close()
    database = Database.open(target)
    await SqlPeople(database).add_user(USER)
    assert await SqlPeople(database).users() == [USER]
    await database.close()


async def test_a_step_keeps_the_rows(either: Database, tmp_path: Path) -> None:
    database = either
    await SqlPeople(database).add_user(USER)
    step = "op.add_column('users', sa.Column('team', sa.Text(), server_default='none', nullable=False))"
    folder = with_next(tmp_path / "100% migrations", step)
    await database.write(lambda connection: upgrade(connection, HEAD, folder))
    found = await database.read(lambda connection: connection.execute(text("SELECT id, team FROM users")).all())
    assert [tuple(one) for one in found] == [("usr_1", "none")]
    assert await database.read(revision_of) == "9999"


def test_a_step_that_fails_leaves_the_database_as_it_was(empty: Engine, tmp_path: Path) -> None:
    with empty.begin() as connection:
        upgrade(connection, None)
        before = described(connection)
    step = "op.drop_table('settings'); op.drop_table('no_such_table')"
    with pytest.raises(DBAPIError, match="no_such_table"), empty.begin() as connection:
        upgrade(connection, HEAD, with_next(tmp_path / "migrations", step))
    with empty.begin() as connection:
        assert described(connection) == before
        assert revision_of(connection) == HEAD


async def test_a_database_of_a_newer_program_is_refused_and_left_alone(target: Path | str) -> None:
    database = Database.open(target)
    await database.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '0999'")))
    await database.close()
    with pytest.raises(ConfigProblem, match=f"has the schema 0999, and this program knows schemas up to {HEAD}"):
        Database.open(target)
    left = engine_of(target)
    with left.connect() as connection:
        assert revision_of(connection) == "0999"
    left.dispose()


class Readers:
    """Reads the ledger all the time, as a dashboard does, and remembers the longest that took."""

    def __init__(self, target: Path | str) -> None:
        self._engine = engine_of(target)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.slowest = 0.0
        self.reads = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._engine.dispose()

    def _read(self) -> None:
        newest = text("SELECT id, cost_nano FROM usage WHERE user_id = 'usr_1' ORDER BY at DESC LIMIT 10")
        while not self._stop.wait(0.002):
            began = time.monotonic()
            with self._engine.connect() as connection:
                connection.execute(newest).all()
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.reads += 1


def migrate(target: Path | str, rows: int) -> tuple[float, float]:
    """From the first schema to the newest with this many rows. Seconds of it, and of the slowest read meanwhile."""
    old = engine_of(target)
    make_first(old, rows)
    old.dispose()
    with Readers(target) as readers:
        began = time.monotonic()
        database = Database.open(target)
        took = time.monotonic() - began
    with database.engine.connect() as connection:
        assert revision_of(connection) == HEAD
        found = connection.execute(text("SELECT count(*), sum(cost_nano), max(customer) FROM usage")).one()
    asyncio.run(database.close())
    assert tuple(found) == (rows, 7 * rows * (rows + 1) // 2, "")
    assert readers.reads > 0
    return took, readers.slowest


def test_rows_of_the_first_schema_come_to_the_newest_while_others_read(target: Path | str) -> None:
    took, slowest = migrate(target, 20_000)
    assert took < 60
    assert slowest < 1.0 + SLACK, slowest


@pytest.mark.soak
def test_a_million_rows_come_to_the_newest_schema_below_a_minute_while_others_read(target: Path | str) -> None:
    took, slowest = migrate(target, 1_000_000)
    sys.stdout.write(f"{took:.2f} s, slowest read {slowest * 1000:.0f} ms\n")
    assert took < 60, took
    assert slowest < 1.0, slowest
