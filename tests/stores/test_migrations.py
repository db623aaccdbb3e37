"""The steps between schemas: together they make exactly the schema that a fresh database gets."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import OperationalError

from dominion.domain.errors import ConfigProblem
from dominion.stores import migrations
from dominion.stores.database import Database, _on_sqlite_begin
from dominion.stores.migrations.upgrade import upgrade
from dominion.stores.people import SqlPeople
from dominion.stores.schema import HEAD, METADATA
from tests.stores.samples import USER

FOLDER = Path(migrations.__file__).parent
NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{number}", "{before}", None, None


def upgrade():
    {step}
"""


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Engine]:
    """An empty SQLite file with transactions as `Database` has them."""
    engine = create_engine(f"sqlite:///{tmp_path}/migrated.db", connect_args={"isolation_level": None})
    event.listen(engine, "begin", _on_sqlite_begin)
    yield engine
    engine.dispose()


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


def test_a_fresh_database_is_what_all_migrations_make(empty: Engine, tmp_path: Path) -> None:
    fresh = Database.open(tmp_path / "fresh.db")
    with empty.begin() as migrated, fresh.engine.begin() as made:
        upgrade(migrated, None)
        assert described(migrated) == described(made)
        assert set(described(made)) == {*METADATA.tables, "alembic_version"}
        assert revision_of(migrated) == revision_of(made) == HEAD
        assert compare_metadata(MigrationContext.configure(migrated, opts={"compare_type": True}), METADATA) == []
    asyncio.run(fresh.close())


async def test_an_older_database_is_upgraded_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with closing(sqlite3.connect(path)) as old:
        # A database before the first revision: Alembic's table, and nothing else.
        old.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    for _ in range(2):
        database = Database.open(path)
        assert await database.read(revision_of) == HEAD
        await database.close()
    database = Database.open(path)
    await SqlPeople(database).add_user(USER)
    assert await SqlPeople(database).users() == [USER]
    await database.close()


async def test_a_step_keeps_the_rows(database: Database, tmp_path: Path) -> None:
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
    with pytest.raises(OperationalError, match="no such table"), empty.begin() as connection:
        upgrade(connection, HEAD, with_next(tmp_path / "migrations", step))
    with empty.begin() as connection:
        assert described(connection) == before
        assert revision_of(connection) == HEAD


async def test_a_database_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    database = Database.open(path)
    await database.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '0999'")))
    await database.close()
    with pytest.raises(ConfigProblem, match=f"has the schema 0999, and this program knows schemas up to {HEAD}"):
        Database.open(path)
    with closing(sqlite3.connect(path)) as left:
        assert left.execute("SELECT version_num FROM alembic_version").fetchall() == [("0999",)]
