"""PostgreSQL and Valkey for the tests: one of each for a whole run, and own ones for tests that harm them.

DOMINION_TEST_DATABASE_URL and DOMINION_TEST_REDIS_URL name running ones to use instead of those from the wheels; the
user of the first must be allowed to create databases, and the database of the second is emptied again and again.
"""

import os
import secrets
from collections.abc import Iterator

import psycopg
import pytest
import redis
from sqlalchemy import make_url

from tests.servers.programs import Postgres, Valkey


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The server that tests share; each process of a run has one, as the tests of two could wait for each other."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_address(request: pytest.FixtureRequest) -> str:
    """The address of the server that tests share, with a database to connect to."""
    given = os.environ.get("DOMINION_TEST_DATABASE_URL")
    if given:
        return given
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.url("postgres")


@pytest.fixture
def postgres_url(postgres_address: str) -> Iterator[str]:
    """A fresh and empty database."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(postgres_address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield make_url(postgres_address).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def own_postgres(postgres_server: Postgres) -> Iterator[Postgres]:
    """A server of the test's own, which it may stop and kill."""
    with Postgres(like=postgres_server) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_address() -> Iterator[str]:
    """The address of the cache server that tests share."""
    given = os.environ.get("DOMINION_TEST_REDIS_URL")
    if given:
        yield given
        return
    with Valkey() as server:
        yield server.url


@pytest.fixture
def valkey_url(valkey_address: str) -> str:
    """An empty database of the cache server."""
    with redis.Redis.from_url(valkey_address) as connection:
        connection.flushdb()
    return valkey_address


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A cache server of the test's own, which it may stop and kill."""
    with Valkey() as server:
        yield server
