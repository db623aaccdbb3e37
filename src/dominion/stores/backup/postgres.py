"""Backups of PostgreSQL by its own programs, pg_dump and pg_restore; the password never stands in a command line."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError

from dominion.domain.errors import ConfigProblem, StorageUnavailable
from dominion.stores.backup.archives import SUMS
from dominion.stores.postgres.link import engine, shown

_SERVICE = "dominion"
_NAMES = {"username": "user", "password": "password", "host": "host", "port": "port", "database": "dbname"}


def dump(address: str, copy: Path) -> tuple[int, int]:
    """Dump a database in use as it is at one moment; rows of its ledger and their nano-dollars.

    Raises ConfigProblem when pg_dump is missing or refuses, StorageUnavailable when the database does not answer.
    """
    url = make_url(address)
    with _connection(url) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        rows, nano = connection.execute(text(SUMS)).one()
        _run(url, "pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={copy}", folder=copy.parent)
    return rows, int(nano)


def load(address: str, copy: Path) -> tuple[int, int]:
    """Replace a database by a dump, all of it or nothing; rows and nano-dollars as they are then. Raises as `dump`."""
    url = make_url(address)
    options = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    _run(url, "pg_restore", *options, f"--dbname=service={_SERVICE}", str(copy), folder=copy.parent)
    with _connection(url) as connection:
        rows, nano = connection.execute(text(SUMS)).one()
    return rows, int(nano)


def is_empty(address: str) -> bool:
    """Whether the database has no table."""
    with _connection(make_url(address)) as connection:
        found = connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
        return not found.scalar_one()


@contextmanager
def _connection(url: URL) -> Iterator[Any]:
    opened = engine(url, 1, shown(url))
    try:
        with opened.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise StorageUnavailable(f"The database {shown(url)} does not answer: {error.orig}") from error
    finally:
        opened.dispose()


def _run(url: URL, program: str, *arguments: str, folder: Path) -> None:
    """Run a program of PostgreSQL on this database, which it finds in a file that nobody else can read."""
    found = shutil.which(program)
    if found is None:
        raise ConfigProblem(
            f"{program} is not installed here; a database of PostgreSQL is backed up by PostgreSQL's own programs.",
            action="Install PostgreSQL's client programs, of the server's version or newer.",
        )
    parts = {name: getattr(url, part) for part, name in _NAMES.items()} | dict(url.query)
    lines = [f"{name}={value}\n" for name, value in parts.items() if value not in {None, ""}]
    with tempfile.NamedTemporaryFile("w", prefix=".service-", dir=folder) as service:  # mode 0600
        service.write(f"[{_SERVICE}]\n{''.join(lines)}")
        service.flush()
        environment = {**os.environ, "PGSERVICEFILE": service.name, "PGSERVICE": _SERVICE}
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [found, *arguments], env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise ConfigProblem(f"{program} did not do it: {done.stderr.strip()}")
