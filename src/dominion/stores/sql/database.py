"""The database of record: opens it, and runs statements in its own threads; never on the event loop."""

import asyncio
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, insert, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dominion.domain.errors import ConfigProblem, StorageUnavailable
from dominion.stores.postgres import link as postgres
from dominion.stores.schema import tables as schema

T = TypeVar("T")
SQLITE_BUSY_SECONDS = 5
SQLITE_CHECKED_BYTES = 32 * 1024 * 1024
"""A file up to this size is checked page by page when it is opened; the check of a larger one would delay the start."""
POSTGRES_LOCK = 0x646F6D696E696F6E
"""Number of the advisory lock under which one process at a time makes or changes the schema."""
LOCK_WAIT_TRIES = 60
"""A change of the schema that waits for a table makes all readers wait behind it: it gives way after a second, and
tries again this often."""
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
SQLITE = {"sqlite", "sqlite+pysqlite"}
NOT_AVAILABLE = "The gateway's database is not available."


class Database:
    """An open database whose schema is the program's own. Every error of its driver becomes StorageUnavailable.

    One thread writes, so that the writers of a process never wait for each other's locks; `readers` threads read, each
    a state between two writes. A server that hangs is waited for no longer than postgres.READ_SECONDS and
    WRITE_SECONDS; the work may have been done all the same.
    """

    def __init__(self, engine: Engine, *, readers: int) -> None:
        """Over an engine whose schema is in order; `Database.open` makes both."""
        self.engine = engine
        self.teller = secrets.token_hex(8)  # by which this process knows its own `changes`
        self.remote = engine.dialect.name != "sqlite"
        self._write_engine = engine.execution_options(writes=True)
        self._read_engine = engine
        if self.remote:
            self._read_engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._read_threads = ThreadPoolExecutor(readers, thread_name_prefix="database-read")
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="database-write")

    @classmethod
    def open(cls, target: str | Path, *, readers: int = 3) -> Self:
        """Open the database at a path (SQLite) or URL; make its schema if it is empty, upgrade it if it is old.

        Blocks: a few milliseconds, and up to 50 more to check a file for damage (only those up to
        SQLITE_CHECKED_BYTES). Raises ConfigProblem when the target is no usable database of this or an earlier version
        of the program, StorageUnavailable when it is locked or does not answer.
        """
        url = _url(target)
        engine = _engine(url, readers)
        try:
            with _opening(url), _one_at_a_time(url):
                _open(engine.execution_options(writes=True), url)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, readers=readers)

    async def read(self, work: Callable[[Connection], T], *, seconds: float = postgres.READ_SECONDS) -> T:
        """Run `work` in a reading thread and a transaction. Raises StorageUnavailable, and whatever `work`
        raises."""
        return await self._run(self._read_threads, self._read_engine, work, seconds)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the writing thread and a transaction: all of it is committed when this returns, nothing when
        it raises. Work that has begun runs on when the awaiting task is cancelled. Raises as `read`.
        """
        return await self._run(self._write_thread, self._write_engine, work, postgres.WRITE_SECONDS)

    async def ping(self) -> None:
        """Whether the database answers. Raises StorageUnavailable."""
        await self.read(lambda connection: connection.execute(text("SELECT 1")))

    async def close(self) -> None:
        """Finish the work that was handed in and close every connection. Idempotent; blocks no other task."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._write_thread.shutdown()
        self._read_threads.shutdown()
        self.engine.dispose()

    async def _run(
        self, threads: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], T], seconds: float
    ) -> T:
        transaction = _Transaction(engine, work)
        done = asyncio.get_running_loop().run_in_executor(threads, transaction.run)
        if not self.remote:  # SQLite has a deadline of its own
            return await done
        try:
            async with asyncio.timeout(seconds) as deadline:
                return await done
        except TimeoutError as error:
            if not deadline.expired():
                raise
            transaction.cut()
            raise StorageUnavailable(NOT_AVAILABLE) from error


class _Transaction(Generic[T]):
    """One piece of work in a thread, which the event loop can cut off from its server."""

    def __init__(self, engine: Engine, work: Callable[[Connection], T]) -> None:
        self._engine = engine
        self._work = work
        self._driver: Any = None

    def run(self) -> T:
        try:
            with _translated(), self._engine.begin() as connection:
                self._driver = connection.connection.driver_connection
                return self._work(connection)
        finally:
            self._driver = None

    def cut(self) -> None:
        driver = self._driver
        if driver is not None:
            postgres.cut(driver)


def look(address: str) -> tuple[str | None, int, int]:
    """The revision of a server's database (None: it has no tables of this program), its users and its keys.

    Makes and changes nothing. Raises ConfigProblem or StorageUnavailable, as `Database.open`.
    """
    url = _url(address)
    engine = _engine(url, 0)
    try:
        with _opening(url), engine.connect() as connection:
            if not inspect(connection).has_table(schema.alembic_version.name):
                return None, 0, 0
            revision = connection.execute(select(schema.alembic_version.c.version_num)).scalar_one()
            counts = (select(func.count()).select_from(table) for table in (schema.users, schema.api_keys))
            users, keys = (connection.execute(count).scalar_one() for count in counts)
            return revision, users, keys
    finally:
        engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    """The seam between the driver's errors and the program's. The sentence holds no SQL: callers get to read it."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        raise StorageUnavailable(NOT_AVAILABLE) from error


@contextmanager
def _opening(url: URL) -> Iterator[None]:
    """The same while opening, where the operator reads the sentence and most faults are theirs to mend."""
    where = _shown(url)
    try:
        yield
    except DBAPIError as error:
        name = getattr(error.orig, "sqlite_errorname", "")
        if name.startswith(DAMAGED):
            raise _damaged(url, str(error.orig)) from error
        if name.startswith("SQLITE_BUSY") or (not name and isinstance(error, OperationalError)):
            raise StorageUnavailable(f"The database {where} does not answer: {error.orig}") from error
        raise ConfigProblem(f"The database {where} cannot be opened: {error.orig}") from error


def _damaged(url: URL, finding: str) -> ConfigProblem:
    return ConfigProblem(
        f"The database file {url.database} is damaged or is not a SQLite database ({finding}).",
        action="Put a backup in its place; or save what can be read with "
        f"`sqlite3 {url.database} .recover | sqlite3 rescued.db`, and start with the rescued file.",
    )


def _url(target: str | Path) -> URL:
    """A path or a URL as URL. Raises ConfigProblem for any other kind of database than the two."""
    if isinstance(target, Path) or "://" not in target:
        return URL.create("sqlite", database=str(target))
    try:
        url = make_url(target)
    except (ArgumentError, ValueError) as error:
        raise ConfigProblem("The database address is not of the form postgresql://user:password@host/name.") from error
    if url.drivername in SQLITE:
        return url
    if url.drivername in postgres.DRIVERS:
        return url
    raise ConfigProblem(
        f"Databases of the kind {url.drivername} are not supported.", action="Use a file (SQLite) or postgresql://..."
    )


def _shown(url: URL) -> str:
    """The database as an operator knows it: the path of the file, or the address without the password."""
    return url.database or "" if url.drivername in SQLITE else postgres.shown(url)


def _engine(url: URL, readers: int) -> Engine:
    """One connection for each thread. Errors never show parameters: some are the hashes of keys."""
    if url.drivername in postgres.DRIVERS:
        return postgres.engine(url, readers + 1, _shown(url))
    _prepare_file(url)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=readers + 1,
        max_overflow=0,
        connect_args={"timeout": SQLITE_BUSY_SECONDS, "isolation_level": None},
    )
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _prepare_file(url: URL) -> None:
    """Make the folder and the file (0600; SQLite gives its side files the same mode). Never opens a file that exists:
    closing it would drop the locks that this process holds on it.
    """
    if url.database in {None, "", ":memory:"}:
        raise ConfigProblem("The database of record must be a file: in memory, money would not survive a restart.")
    path = Path(str(url.database))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600))
        except FileExistsError:
            path.chmod(0o600)
    except OSError as error:
        raise ConfigProblem(f"The database file {path} cannot be made or kept private: {error.strerror}.") from error


@contextmanager
def _one_at_a_time(url: URL) -> Iterator[None]:
    """Lets one process at a time open a file: SQLite does not wait for a lock when a new file is turned to WAL."""
    if url.drivername not in SQLITE:
        yield
        return
    folder = os.open(Path(str(url.database)).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _on_sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_sqlite_begin(connection: Connection) -> None:
    """The driver's own BEGIN comes late and deferred: upgrading its lock fails at once instead of waiting for it."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _open(engine: Engine, url: URL) -> None:
    """Put the schema in order, giving way to whoever holds a table that must be changed."""
    for _ in range(LOCK_WAIT_TRIES):
        try:
            with engine.begin() as connection:
                return _prepare_schema(connection, url)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", "") != postgres.LOCK_NOT_AVAILABLE:
                raise
            waited = error
    raise waited


def _prepare_schema(connection: Connection, url: URL) -> None:
    """Make, check or upgrade the schema, in a transaction that no other process can interleave with."""
    if url.drivername not in SQLITE:
        postgres.lock_schema(connection, POSTGRES_LOCK)
    elif Path(str(url.database)).stat().st_size <= SQLITE_CHECKED_BYTES:
        finding = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if finding != "ok":
            raise _damaged(url, finding)
    tables = inspect(connection).get_table_names()
    if not tables:
        schema.METADATA.create_all(connection, checkfirst=False)
        schema.alembic_version.create(connection, checkfirst=False)
        connection.execute(insert(schema.alembic_version).values(version_num=schema.HEAD))
        return
    if schema.alembic_version.name not in tables:
        raise ConfigProblem(
            f"The database {_shown(url)} holds tables of another program.",
            action="Name an empty database, or a new file.",
        )
    revision = connection.execute(select(schema.alembic_version.c.version_num)).scalar()
    if revision != schema.HEAD:
        # Alembic takes longer to import than everything else here, and is needed once per release.
        from dominion.stores.migrations.upgrade import upgrade  # noqa: PLC0415

        upgrade(connection, revision)
