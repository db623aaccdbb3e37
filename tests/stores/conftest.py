"""Fixtures of the stores' tests. PostgreSQL is a real one (tests/servers)."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from dominion.stores.sql.database import Database
from tests.stores.implementations import DATABASES, KINDS, Making, Stores, in_database, in_memory


@pytest.fixture(params=DATABASES)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where an empty database may be opened, on each of the two engines."""
    if request.param == "sqlite":
        return tmp_path / "gateway.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=KINDS)
def making(request: pytest.FixtureRequest, tmp_path: Path) -> Making:
    """Makes the stores of each implementation."""
    if request.param == "memory":
        return in_memory
    target = tmp_path / "gateway.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return partial(in_database, target)


@pytest.fixture
async def stores(making: Making) -> AsyncIterator[Stores]:
    """The stores of each implementation, empty."""
    async with making() as made:
        yield made


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A fresh SQLite database."""
    opened = Database.open(tmp_path / "gateway.db")
    yield opened
    await opened.close()


@pytest.fixture
async def either(target: Path | str) -> AsyncIterator[Database]:
    """A fresh database on each of the two engines."""
    opened = Database.open(target)
    yield opened
    await opened.close()


@pytest.fixture
async def two_processes(target: Path | str) -> AsyncIterator[list[Database]]:
    """One database of record, opened twice, on each of the two engines."""
    opened = [Database.open(target) for _ in range(2)]
    yield opened
    for database in opened:
        await database.close()
