"""Backups: the database as it was at one moment, in one file with what is needed to check it, and back again.

The file is a tar of `manifest.json`, the database and, only if asked for, the sealing keys. It is as secret as the
database, and with the keys as secret as they are: its mode is 0600.
"""

import contextlib
import fcntl
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import msgspec
from sqlalchemy import Connection, delete

from dominion.credentials.keys import derive
from dominion.domain.errors import ConfigProblem, StorageUnavailable
from dominion.domain.records import UsageRow
from dominion.stores.files.frames import read_frames
from dominion.stores.schema.standings import leases, processes
from dominion.stores.sealing.keys import KeyPlace, read_ring
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger

VERSION = 1
MANIFEST, KEYS = "manifest.json", "sealing-keys"
SQLITE, POSTGRES = "sqlite", "postgresql"
SUMS = "SELECT count(*), coalesce(sum(cost_nano), 0) FROM usage"
_SIDES = ("", "-wal", "-shm")


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds: the ledger's `rows` and their sum, and a mark of the sealing key that belongs to it.

    `database` is SQLITE or POSTGRES, `made_at` epoch seconds.
    """

    version: int
    database: str
    made_at: int
    rows: int
    cost_nano: int
    key_mark: str


def key_mark(text: str | None, place: KeyPlace) -> str:
    """Which sealing key a place holds, without telling it; "" when it holds none. Raises ConfigProblem."""
    return derive(read_ring(text, place).root, "backup").hex()[:16] if text else ""


# --- SQLite


async def copy_sqlite(database: Path, journals: Iterable[Path], copy: Path) -> tuple[int, int]:
    """Copy a database in use, with the rows that are in these journals and not in it yet; rows and nano-dollars.

    Raises ConfigProblem when there is none, StorageUnavailable when it cannot be read.
    """
    settled = _settled(journals)  # first: what leaves a journal from now on is in the database before it is copied
    _copy(database, copy)
    opened = Database.open(copy)
    try:
        await SqlLedger(opened).add(settled)
        await opened.write(_end_leases)
    finally:
        await opened.close()
    return sums_of(copy)


def _copy(database: Path, copy: Path) -> None:
    if not database.exists():
        raise ConfigProblem(f"There is no database at {database}.")
    address = f"{database.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{database} cannot be copied: {error}.") from error


def _end_leases(connection: Connection) -> None:
    """Whoever leased lives on beside the original; all that they have settled is in the copy."""
    connection.execute(delete(leases))
    connection.execute(delete(processes))


def sums_of(database: Path) -> tuple[int, int]:
    """Rows of the ledger and their nano-dollars, of a file that nobody writes. Raises ConfigProblem when damaged."""
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # one file, without any at its side
            (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            rows, nano = connection.execute(SUMS).fetchone()
    except sqlite3.Error as error:
        raise ConfigProblem(f"The database in the backup cannot be read: {error}.") from error
    if finding != "ok":
        raise ConfigProblem(f"The database in the backup is damaged: {finding}.")
    return rows, nano


def put_in_place(copy: Path, database: Path) -> None:
    """Make the copy the database; the one that was there stays beside it as *.before-restore."""
    for side in _SIDES:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{database}{side}").replace(f"{database}.before-restore{side}")
    copy.replace(database)
    _sync_folder(database.parent)


def in_use(journals: Iterable[Path]) -> bool:
    """Whether a running gateway holds one of these journals."""
    return any(_locked(folder / "journal.lock") for folder in journals)


def _locked(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _settled(journals: Iterable[Path]) -> list[UsageRow]:
    rows: list[UsageRow] = []
    for path in (path for folder in journals for path in sorted(folder.glob("journal-*.log"))):
        with contextlib.suppress(FileNotFoundError):  # its rows are in the database
            records, _ = read_frames(path.read_bytes())
            rows += [record for record in records if isinstance(record, UsageRow)]
    return rows


# --- the file


def write(file: Path, manifest: Manifest, database: Path, keys: str | None) -> None:
    """Write a backup, whole or not at all. Raises ConfigProblem when it cannot be written."""
    try:
        draft, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # mode 0600
        try:
            with os.fdopen(draft, "wb") as stream:
                with tarfile.open(fileobj=stream, mode="w") as archive:
                    _add(archive, MANIFEST, msgspec.json.encode(manifest))
                    if keys is not None:
                        _add(archive, KEYS, keys.encode())
                    archive.add(database, manifest.database)
                stream.flush()
                os.fsync(draft)
            Path(name).replace(file)
            _sync_folder(file.parent)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigProblem(f"{file} cannot be written: {error.strerror}.") from error


@contextmanager
def read(file: Path, folder: Path) -> Iterator[tuple[Manifest, Path, str | None]]:
    """What a backup holds: its manifest, its database as a file in `folder` that goes with the block, and the keys.

    Raises ConfigProblem when it is none that this program knows.
    """
    copy = folder / f".restoring-{os.getpid()}"
    try:
        with tarfile.open(file) as archive:
            manifest = msgspec.json.decode(_member(archive, MANIFEST).read(), type=Manifest)
            if manifest.version != VERSION or manifest.database not in {SQLITE, POSTGRES}:
                raise ConfigProblem(
                    f"{file} was made by a newer version of Dominion.", action="Restore it with that one."
                )
            keys = _member(archive, KEYS).read().decode() if KEYS in archive.getnames() else None
            with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:  # noqa: PTH123 - its mode
                shutil.copyfileobj(_member(archive, manifest.database), target)
                target.flush()
                os.fsync(target.fileno())
        yield manifest, copy, keys
    except (OSError, tarfile.TarError, KeyError, msgspec.MsgspecError) as error:
        raise ConfigProblem(f"{file} cannot be read as a backup of Dominion: {error}.") from error
    finally:
        copy.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o600
    archive.addfile(member, io.BytesIO(data))


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
