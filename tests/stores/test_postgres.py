"""What is true of PostgreSQL alone: durable commits, and a server that fails in every way never blocks for long."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import Connection, make_url, text

from dominion.domain.errors import ConfigProblem, StorageUnavailable
from dominion.stores.postgres import link as postgres
from dominion.stores.schema.tables import HEAD
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from dominion.stores.sql.people import SqlPeople
from tests.servers.programs import Postgres
from tests.servers.proxy import Proxy
from tests.stores.older import engine_of, make_first
from tests.stores.samples import KEY, USER, row, user

SLACK = 3.0
"""Seconds for a machine with other things to do."""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database.open(url)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(postgres, "WRITE_SECONDS", 2.0)


@pytest.fixture
def proxy(own_postgres: Postgres) -> Iterator[Proxy]:
    with Proxy(own_postgres.socket) as proxy:
        yield proxy


def as_user(url: str, name: str) -> str:
    return make_url(url).set(username=name).render_as_string(hide_password=False)


async def refused(work: Callable[[], object]) -> float:
    """The seconds until a call was refused."""
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="database is not available"):
        await work()  # type: ignore[misc]
    return time.monotonic() - began


async def test_every_connection_commits_to_disk_whatever_the_server_is_set_to(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as other:
        name = psycopg.sql.Identifier(other.info.dbname)
        other.execute(psycopg.sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
    async with opened(postgres_url) as database:

        def settings(connection: Connection) -> list[object]:
            names = ("synchronous_commit", "fsync", "statement_timeout", "idle_in_transaction_session_timeout")
            return [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]

        assert await database.read(settings) == await database.write(settings) == ["on", "on", "10s", "1min"]


async def test_what_the_operator_says_in_the_address_wins(postgres_url: str) -> None:
    async with opened(f"{postgres_url}&application_name=mine&options=-c%20work_mem%3D5MB") as database:

        def settings(connection: Connection) -> list[object]:
            return [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in ("application_name", "work_mem")]

        assert await database.read(settings) == ["mine", "5MB"]


async def test_a_read_can_change_nothing_and_sees_one_state(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        with pytest.raises(StorageUnavailable) as stopped:
            await database.read(lambda connection: connection.execute(text("DELETE FROM users")))
        assert "read-only" in str(stopped.value.__cause__)
        looked, go_on = threading.Event(), threading.Event()
        count = text("SELECT count(*) FROM users")

        def twice(connection: Connection) -> tuple[object, object]:
            first = connection.execute(count).scalar()
            looked.set()
            assert go_on.wait(30)
            return first, connection.execute(count).scalar()

        reading = asyncio.create_task(database.read(twice, seconds=30))
        await asyncio.to_thread(looked.wait, 30)
        await SqlPeople(database).add_user(USER)
        go_on.set()
        assert await reading == (0, 0)


async def test_statements_that_come_again_are_prepared(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        ledger = SqlLedger(database)
        for number in range(8):
            await ledger.add([row(number)])
        prepared = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO usage %'")
        assert await database.write(lambda connection: connection.execute(prepared).scalar()) == 1


async def test_a_text_with_a_nul_stops_no_batch(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        ledger = SqlLedger(database)
        given = ["gpt\0x", "\0", r"a\u0000", "\\\0\\", r"\\u0000" + "\0\0", "\ud7ff\U0001f600\"'{}"]
        assert await ledger.add([row(number, model=model) for number, model in enumerate(given)]) == len(given)
        kept = [one.model for one in await ledger.rows(user_id=None, limit=10)]
        assert kept[::-1] == [model.replace("\0", "\ufffd") for model in given]


def test_many_may_open_a_new_database_at_once(postgres_url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(Database.open, [postgres_url] * 6))
    for one in found:
        asyncio.run(one.close())


async def test_an_idle_gateway_does_not_notice_a_restart(own_postgres: Postgres) -> None:
    async with opened(own_postgres.url("postgres")) as database:
        people = SqlPeople(database)
        await asyncio.gather(people.add_user(USER), people.users(), people.users(), people.users())
        await asyncio.to_thread(own_postgres.kill)
        await asyncio.to_thread(own_postgres.start)
        for _ in range(4):
            assert await people.users() == [USER]
        await people.add_user(user(2))


async def test_killed_sessions_are_replaced(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        people = SqlPeople(database)
        await people.users()
        with psycopg.connect(postgres_url) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await people.add_user(USER)
        assert await people.users() == [USER]


@pytest.mark.usefixtures("quick")
async def test_a_server_that_hangs_is_waited_for_until_the_deadline_and_used_again(own_postgres: Postgres) -> None:
    async with opened(own_postgres.url("postgres")) as database:
        people = SqlPeople(database)
        await asyncio.gather(people.add_user(USER), people.users())
        own_postgres.signal(signal.SIGSTOP)
        waits = await asyncio.gather(
            *(refused(people.users) for _ in range(10)), refused(lambda: people.add_user(user(2)))
        )
        assert max(waits) < postgres.READ_SECONDS + SLACK, waits
        own_postgres.signal(signal.SIGCONT)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                assert USER in await people.users()
                break
            except StorageUnavailable:
                continue
        await people.add_user(user(3))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("mode", ["hole", "refuse"])
async def test_a_network_that_dies_is_waited_for_until_the_deadline(proxy: Proxy, mode: str) -> None:
    async with opened(f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres") as database:
        people = SqlPeople(database)
        await people.add_user(USER)
        setattr(proxy, "mode", mode)  # noqa: B010 - its type is narrower than that of a parameter
        for _ in range(2):  # over the connection that was there, and over a new one
            waits = await asyncio.gather(refused(people.users), refused(lambda: people.add_user(user(2))))
            assert max(waits) < postgres.WRITE_SECONDS + postgres.CONNECT_SECONDS + SLACK, waits
        proxy.mode = "pass"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                assert USER in await people.users()
                break
            except StorageUnavailable:
                continue


@pytest.mark.usefixtures("quick")
async def test_a_commit_that_hangs_is_given_up_and_frees_its_thread(own_postgres: Postgres) -> None:
    async with opened(own_postgres.url("postgres")) as database:

        def work(connection: Connection) -> None:
            connection.execute(text("INSERT INTO settings VALUES ('a', '')"))
            own_postgres.signal(signal.SIGSTOP)

        assert await refused(lambda: database.write(work)) < postgres.WRITE_SECONDS + SLACK
        await asyncio.to_thread(database._write_thread.submit(threading.get_ident).result, 10)
        own_postgres.signal(signal.SIGCONT)
        for number in range(100):
            try:
                await SqlPeople(database).add_user(user(number))
                break
            except StorageUnavailable:
                continue
        assert await SqlPeople(database).users() != []


async def test_a_start_does_not_wait_for_a_server_that_hangs(own_postgres: Postgres) -> None:
    own_postgres.signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="does not answer"):
        Database.open(own_postgres.url("postgres"))
    assert time.monotonic() - began < postgres.CONNECT_SECONDS + SLACK


async def test_a_server_without_room_for_another_connection_is_an_outage_that_ends(own_postgres: Postgres) -> None:
    url = own_postgres.url("postgres")
    async with opened(url) as database:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("ALTER DATABASE postgres CONNECTION LIMIT 1")
            other.execute("CREATE ROLE limited LOGIN")
            other.execute("ALTER ROLE limited CONNECTION LIMIT 0")
        with pytest.raises(StorageUnavailable, match="too many connections"):
            Database.open(as_user(url, "limited"))
        assert await SqlPeople(database).users() == []


def test_the_password_is_in_no_sentence(own_postgres: Postgres) -> None:
    url = f"postgresql://nobody:hunter2@/postgres?host={own_postgres.folder}"
    with pytest.raises(StorageUnavailable, match="does not answer") as stopped:
        Database.open(url)
    assert "hunter2" not in str(stopped.value)
    assert "hunter2" not in repr(stopped.value.__cause__)


def test_a_role_that_may_not_make_tables_is_told_so(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as other:
        name = f"poor_{other.info.dbname}"
        other.execute(f'CREATE ROLE "{name}" LOGIN')
    try:
        with pytest.raises(ConfigProblem, match="cannot be opened: permission denied"):
            Database.open(as_user(postgres_url, name))
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(f'DROP ROLE "{name}"')


async def test_an_error_of_the_driver_shows_neither_sql_nor_values(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await SqlPeople(database).add_user(USER)
        await database.write(lambda connection: connection.execute(text("DROP TABLE api_keys")))
        with pytest.raises(StorageUnavailable) as stopped:
            await SqlPeople(database).add_key(KEY)
        assert KEY.hash not in f"{stopped.value} {stopped.value.__cause__}"


def test_a_change_of_the_schema_lets_readers_pass_while_it_waits_for_one(postgres_url: str) -> None:
    """An ALTER TABLE that waits for a long reader makes every later reader wait behind it."""
    old, count = engine_of(postgres_url), text("SELECT count(*) FROM usage")
    make_first(old, rows=10)
    with ThreadPoolExecutor(1) as thread, old.connect() as reader:
        reader.execute(count)
        opening = thread.submit(Database.open, postgres_url)
        slowest, until = 0.0, time.monotonic() + 3.0
        while time.monotonic() < until:
            began = time.monotonic()
            with old.connect() as other:
                other.execute(count)
            slowest = max(slowest, time.monotonic() - began)
        waited = not opening.done()
        reader.rollback()
        database = opening.result(30)
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    asyncio.run(database.close())
    old.dispose()
    assert waited
    assert slowest < 1.0 + SLACK, slowest


def test_a_missing_driver_is_named_with_the_extra_and_the_password_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigProblem, match=r"driver for postgresql.*user:\*\*\*@host.* is not installed") as refusal:
        Database.open("postgresql://user:hunter2@host/name")
    assert "dominion-gateway[cluster]" in refusal.value.action
