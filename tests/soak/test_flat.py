"""What operators ask costs no more with years of use in the database than without: plans, and the clock."""

import http.client
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from bench.filling import FULL, Size, fill
from dominion.stores.postgres.link import address
from dominion.stores.sql import analytics, ledger
from dominion.stores.sql.database import Database
from tests.stores.implementations import DATABASES
from tests.whole.program import Program

MOST_MS = 50
TIMES = 15
TODAY = datetime.now(UTC).date()
A_MONTH = f"from={TODAY - timedelta(days=29)}&to={TODAY}"
ROUTES = (
    "/admin/usage",
    f"/admin/usage?{A_MONTH}",
    f"/admin/usage?{A_MONTH}&after={TODAY - timedelta(days=9)}/usr_5/provider-1/model-3",
    "/admin/usage?user_id=usr_7",
    f"/admin/usage?user_id=usr_7&{A_MONTH}",
    *(f"/admin/usage/by?group={group}" for group in ("provider", "model", "day", "customer", "user")),
    f"/admin/usage/by?group=model&{A_MONTH}",
    "/admin/usage/projection",
    "/admin/usage/projection?user_id=usr_7",
    "/admin/usage/projection?provider=provider-1",
    "/admin/usage/latency",
    "/admin/usage/latency?hours=720",
    "/admin/users",
    "/admin/users/usr_7",
    "/admin/keys?user_id=usr_7",
    "/admin/attempts",
)
READ = (
    *(ledger.SUMMARY_OF_DAY, ledger.SUMMARY_OF_USER, ledger.OVERALL, ledger.NEXT_HOUR, ledger.WINDOW),
    *(ledger.NEWEST, ledger.NEWEST_OF_USER, ledger.BETWEEN),
    *(*analytics.DAYS.values(), analytics.CUSTOMERS, analytics.USERS, analytics.NEWEST),
)


@pytest.fixture
def explained(tmp_path: Path) -> Iterator[Database]:
    """A database with little in it: SQLite plans by its schema alone."""
    fill(tmp_path / "some.db", Size(users=3, keys=5, rows=100))
    database = Database.open(tmp_path / "some.db")
    yield database
    database.engine.dispose()


def plan(database: Database, sql: str) -> str:
    """How SQLite would find the rows."""
    with database.engine.connect() as connection:
        values = (1,) * sql.count("?")
        return "\n".join(str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values))


@pytest.mark.parametrize("number", range(len(READ)))
def test_no_statement_of_figures_goes_over_all_rows(explained: Database, number: int) -> None:
    found = plan(explained, str(READ[number].compile(dialect=explained.engine.dialect)))
    assert "SCAN" not in found.replace("SCAN usage USING INDEX ix_usage_at", ""), found  # backwards, with a limit


def test_the_control_a_statement_over_all_rows_is_seen(explained: Database) -> None:
    assert "SCAN usage" in plan(explained, "SELECT sum(cost_nano) FROM usage WHERE customer = ?")


@pytest.mark.soak
@pytest.mark.parametrize("kind", DATABASES)
def test_operators_figures_of_a_million_rows_take_no_50_milliseconds(
    kind: str, request: pytest.FixtureRequest, folder: Path
) -> None:
    environment = {} if kind == "sqlite" else {"DATABASE_URL": str(request.getfixturevalue("postgres_url"))}
    (folder / "data").mkdir(parents=True)
    fill(environment.get("DATABASE_URL", folder / "data" / "gateway.db"), FULL)
    with Program(folder, **environment) as program:
        document = program.ask("GET", "/openapi.json").json
        told = {path for path, ways in document["paths"].items() if path.startswith("/admin/usage") and "get" in ways}
        assert told == {route.partition("?")[0] for route in ROUTES if route.startswith("/admin/usage")}
        took = {route: taken(program, route) for route in ROUTES}
    assert max(took.values()) < MOST_MS, took
    assert control(environment.get("DATABASE_URL", f"sqlite:///{folder}/data/gateway.db")) > MOST_MS


def taken(program: Program, route: str) -> float:
    """Milliseconds, the least of some: what else the machine does meanwhile is not the question."""
    connection = http.client.HTTPConnection(program.url.removeprefix("http://"), timeout=60)
    found = []
    for _ in range(TIMES):
        began = time.perf_counter()
        connection.request("GET", route, headers={"authorization": f"Bearer {program.admin_token}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
        found.append((time.perf_counter() - began) * 1000)
    connection.close()
    return min(found)


def control(url: str) -> float:
    """Milliseconds of a sum that no roll-up holds: what is timed above would be seen if it went over the rows."""
    engine = create_engine(url if url.startswith("sqlite") else address(make_url(url)))
    with engine.connect() as connection:
        began = time.perf_counter()
        connection.execute(text("SELECT sum(latency_ms) FROM usage WHERE finish <> 'length'")).scalar_one()
        took = (time.perf_counter() - began) * 1000
    engine.dispose()
    return took
