"""Databases as earlier versions of the program left them."""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text

from dominion.stores.migrations.upgrade import upgrade
from dominion.stores.postgres import link as postgres
from dominion.stores.sql.database import _on_sqlite_begin

FIRST = "0001"
ROWS = """
INSERT INTO usage (id, at, user_id, key_id, provider, model, door, stream, outcome, certainty, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_nano, latency_ms, first_ms, finish,
    over_hold, error)
SELECT 'req_' || n, 1790000000000 + n, 'usr_' || n % 100, 'k' || n % 100, 'openai', 'gpt-4o', 'openai_chat', {false}, 0,
    0, 100, 50, 0, 0, 0, 7 * n, 900, 300, 'stop', {false}, ''
FROM ({numbers}) AS numbers
"""
"""Rows that cost 7 * n nano-dollars each, from 1 to the count."""
NUMBERS = {
    "sqlite": "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < :count) SELECT n FROM up",
    "postgresql": "SELECT n FROM generate_series(1, :count) AS up(n)",
}


def engine_of(target: Path | str) -> Engine:
    """An engine with the transactions that `Database` has."""
    if isinstance(target, str) and not target.startswith("sqlite"):
        return create_engine(postgres.address(make_url(target)))
    url = URL.create("sqlite", database=str(target))
    made = create_engine(url, connect_args={"isolation_level": None})
    event.listen(made, "begin", _on_sqlite_begin)
    return made


def make_first(engine: Engine, rows: int = 0) -> None:
    """The first schema, with this many rows in the ledger."""
    with engine.begin() as connection:
        upgrade(connection, None, to=FIRST)
        add_rows(connection, rows)


def add_rows(connection: Connection, count: int) -> None:
    """Fill the ledger of the first schema."""
    name = connection.dialect.name
    if name != "sqlite":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    values: dict[str, Any] = {"numbers": NUMBERS[name], "false": "0" if name == "sqlite" else "false"}
    connection.execute(text(ROWS.format(**values)), {"count": count})
