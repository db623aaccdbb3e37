"""Fills a database as years of use would: users, keys and ledger rows of this month and the last, with their sums.

It goes through the program's own schema and no further: rows are made inside the database, in seconds.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from dominion.rules.windows import day_of, first_day, month_of
from dominion.stores.sql.database import Database

DAY_MS = 86_400_000
DAYS = 30
_UP = "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < :count) "
_USERS = f"""
INSERT INTO users (id, name, status, created_at, daily_requests, daily_tokens, monthly_spend_nano,
    concurrent_requests, requests_per_minute)
{_UP} SELECT 'usr_' || n, 'Somebody', 'active', 1790000000, 1000, 1000000, 50000000000, 10, 60 FROM up"""  # noqa: S608 - of constants
_KEYS = f"""
INSERT INTO api_keys (id, user_id, hash, digest, last4, created_at)
{_UP} SELECT 'key_' || n, 'usr_' || (n % :users + 1), '', :digest, 'abcd', 1790000000 FROM up"""  # noqa: S608 - of constants
_USAGE = f"""
INSERT INTO usage (id, at, user_id, key_id, provider, model, door, stream, outcome, certainty, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_nano, latency_ms, first_ms, finish,
    over_hold, error, customer, run)
{_UP} SELECT 'req_' || n, :first + CAST(n * 1.0 / :count * :span AS BIGINT), 'usr_' || (n / 10 * 7919 % :users + 1),
    'key_' || (n / 10 * 7919 % :keys + 1), 'provider-' || (n / 10 % 3), 'model-' || (n / 10 % 7), 'openai_chat', :no,
    CASE n % 50 WHEN 0 THEN 3 ELSE 0 END, 0, 1000, 200, 0, 0, 0, 7 * n, 900, 300, 'stop', :no, '', 'c' || (n % 500), ''
FROM up"""  # noqa: S608 - of constants
_MONTH = "CASE WHEN at < :month_began THEN :month_before ELSE :month END"
_GOOD = "FROM usage WHERE outcome = 0"
_WINDOWS = f"""
INSERT INTO usage_windows (scope, kind, number, requests, tokens, spend_nano)
SELECT {{scope}}, {{kind}}, {{number}}, COUNT(*), SUM(input_tokens + output_tokens), SUM(cost_nano) {_GOOD}
GROUP BY 1, 3"""
_COUNTS = """COUNT(*) - COUNT(CASE outcome WHEN 3 THEN 1 END), COUNT(CASE outcome WHEN 3 THEN 1 END)"""
_HOURS = f"""
INSERT INTO usage_hours (hour, user_id, provider, model, requests, failed, input_tokens, output_tokens,
    cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_nano)
SELECT at / 3600000, user_id, provider, model, {_COUNTS}, SUM(input_tokens), SUM(output_tokens), 0, 0, 0, SUM(cost_nano)
FROM usage GROUP BY 1, 2, 3, 4"""  # noqa: S608 - of constants
_SUMS = f"{_COUNTS}, SUM(input_tokens), SUM(output_tokens), 0, 0, 0, SUM(cost_nano), 0, 0 FROM usage GROUP BY 1, 2"
_DAYS = f"INSERT INTO usage_days SELECT at / {DAY_MS}, provider, model, {_SUMS}, 3"
_CUSTOMERS = f"INSERT INTO usage_customers SELECT {_MONTH}, customer, {_SUMS}"


@dataclass(frozen=True)
class Size:
    """How much to put into a database."""

    users: int
    keys: int
    rows: int


FULL = Size(users=10_000, keys=100_000, rows=1_000_000)


def fill(target: Path | str, size: Size) -> float:
    """Make the database and fill it. `target` a path or an address. Seconds that it took."""
    began = time.monotonic()
    database = Database.open(target)
    try:
        with database.engine.execution_options(writes=True).begin() as connection:
            _fill(connection, size, time.time())
        if database.remote:  # which would do so by itself in a minute
            with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                connection.execute(text("SET statement_timeout = 0"))
                connection.execute(text("VACUUM ANALYZE"))
    finally:
        database.engine.dispose()
    return time.monotonic() - began


def _fill(connection: Connection, size: Size, now: float) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    month = month_of(day_of(now))
    months = {
        "month": month,
        "month_before": month - 1,
        "month_began": first_day(month) * DAY_MS,
    }
    end = int(now * 1000)
    ledger = {"first": end - DAYS * DAY_MS, "span": DAYS * DAY_MS, "users": size.users, "keys": size.keys, "no": False}
    connection.execute(text(_USERS), {"count": size.users})
    connection.execute(text(_KEYS), {"count": size.keys, "users": size.users, "digest": b"0" * 32})
    connection.execute(text(_USAGE), {"count": size.rows, **ledger})
    connection.execute(text(_HOURS))
    connection.execute(text(_DAYS))
    connection.execute(text(_CUSTOMERS), months)
    for scope in ("'user:' || user_id", "'provider:' || provider"):
        for kind, number in (("'d'", f"at / {DAY_MS}"), ("'m'", _MONTH)):
            statement = text(_WINDOWS.format(scope=scope, kind=kind, number=number))
            connection.execute(statement, months if kind == "'m'" else {})
