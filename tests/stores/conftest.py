"""Fixtures of the stores' tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dominion.stores.database import Database
from tests.stores.implementations import STORES, Stores


@pytest.fixture(params=STORES)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    async with STORES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A fresh SQLite database."""
    opened = Database.open(tmp_path / "gateway.db")
    yield opened
    await opened.close()
