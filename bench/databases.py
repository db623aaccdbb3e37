"""PostgreSQL and Valkey for the bench: from the wheels that the tests use, or running ones named by the environment."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg
from sqlalchemy import make_url

from bench.accounting import cpu_of_server
from tests.servers.programs import Postgres, Valkey


@dataclass(frozen=True)
class Databases:
    """Addresses, as the gateway's settings; `pids` by name are the roots of those servers that were started here."""

    settings: dict[str, str]
    pids: dict[str, int]

    def cpu_ns(self) -> dict[str, int]:
        """What each server has used so far."""
        return {name: cpu_of_server(pid) for name, pid in self.pids.items()}


@contextmanager
def databases() -> Iterator[Databases]:
    """An empty database of PostgreSQL, and Valkey; both run on the cores of the load."""
    with ExitStack() as stack:
        pids = {}
        address = os.environ.get("DOMINION_TEST_DATABASE_URL", "")
        if not address:
            server = stack.enter_context(Postgres())
            pids["PostgreSQL"] = server.processes()[0]
            address = server.url("postgres")
        redis_url = os.environ.get("DOMINION_TEST_REDIS_URL", "")
        if not redis_url:
            cache = stack.enter_context(Valkey())
            pids["Valkey"] = cache.processes()[0]
            redis_url = cache.url
        name = f"bench_{secrets.token_hex(8)}"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            url = make_url(address).set(database=name).render_as_string(hide_password=False)
            yield Databases({"DATABASE_URL": url, "REDIS_URL": redis_url}, pids)
        finally:
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
