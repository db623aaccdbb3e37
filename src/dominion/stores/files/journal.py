"""The append-only files between an answer and the database: a record that `append` took survives the process.

A folder holds segments `journal-00000001.log`, ... of frames (`stores.frames`). A process owns the folder by a lock and
writes only segments it began itself, numbered above all it found. `append` and `rotate` belong to one thread (the event
loop's); `sync` and `discard` may run in any other at the same time.

A segment is a file whose space is allocated before its first record and which is written through a shared mapping: the
page cache has a record as soon as it is copied, so the death of the process cannot lose it, a full disk shows before
a request runs and not at its end, and a record costs a copy instead of a system call (docs/decisions/0018).
"""

import contextlib
import fcntl
import logging
import mmap
import os
import re
import threading
from pathlib import Path
from typing import Literal

import msgspec

from dominion.domain.errors import ConfigProblem, StorageUnavailable
from dominion.domain.records import JournalRecord, UsageRow
from dominion.stores.files.frames import MAX_PAYLOAD, frame, read_frames

DEFAULT_MAX_BYTES = 1 << 30
NAME = re.compile(r"journal-(\d{8,})\.log(\.damaged)?")
SEGMENT_BYTES = 4 * 1024 * 1024
NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_RDWR
log = logging.getLogger(__name__)


class Segment(msgspec.Struct):
    """The file being written, all of it mapped. `length` counts the bytes of whole records."""

    number: int
    fd: int
    view: mmap.mmap
    length: int = 0


class FileJournal:
    """`Journal` over a folder.

    `mode` "journal": a record is safe from the death of the process when `append` returns, and from a loss of power
    after the next `sync`; "fsync": from both when `append` returns. `max_bytes` is the most that segments not yet
    discarded may hold, `segment_bytes` what one file has room for. The last sixteenth of both is kept for rows of
    requests that run already, so a journal or a disk that fills up refuses holds (and attempts) first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: Literal["journal", "fsync"] = "journal",
        max_bytes: int = DEFAULT_MAX_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Take the folder (made if need be) and begin a segment.

        Raises ConfigProblem when the folder cannot be used or belongs to another running process.
        """
        self._folder = folder
        self._fsync_each = mode == "fsync"
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._max_bytes_for_holds = max_bytes - max_bytes // 16
        self._segment_bytes_for_holds = segment_bytes - segment_bytes // 16
        self._encode = msgspec.msgpack.Encoder().encode
        self._refusal = ""  # why nothing can be appended to this segment; empty when all is well
        self._damaged: set[int] = set()
        self._guard = threading.Lock()  # over the four below, which other threads change
        self._closed: dict[int, int] = {}  # segments not yet discarded, without the open one: number to bytes
        self._closed_bytes = 0
        self._retired: dict[int, int] = {}  # those of them that still want an fsync: number to descriptor
        self._unsynced = True
        self._lock_fd = _take(folder)
        try:
            self._closed, last = _segments(folder)
            self._segment = self._begin(last + 1)
        except OSError as error:
            os.close(self._lock_fd)
            raise ConfigProblem(f"The journal folder {folder} cannot be used: {error.strerror}.") from error
        self._closed_bytes = sum(self._closed.values())
        self._earlier = sorted(self._closed)

    def append(self, record: JournalRecord) -> None:
        """One copy into the mapped file. Raises StorageUnavailable; then nothing of the record counts."""
        framed = frame(self._encode(record))
        size = len(framed)
        limit, room = self._max_bytes, self._segment_bytes
        if type(record) is not UsageRow:
            limit, room = self._max_bytes_for_holds, self._segment_bytes_for_holds
        if self._segment.length + size > room and size <= room:
            self.rotate()
        segment = self._segment
        end = segment.length + size
        if self._refusal or self._closed_bytes + end > limit or size > min(MAX_PAYLOAD, self._segment_bytes):
            raise StorageUnavailable(self._refusal or _too_much(size))
        segment.view[segment.length : end] = framed
        if self._fsync_each:
            self._fsync_record(segment, size)
        segment.length = end
        self._unsynced = True

    def rotate(self) -> int:
        """Close the segment, begin the next, and return the number of the closed one.

        An empty segment is kept, and the number before it returned. A journal that refused to append takes records
        again. Raises StorageUnavailable when no segment can be begun; then nothing has changed.
        """
        old = self._segment
        if not old.length and not self._refusal:
            return old.number - 1
        try:
            new = self._begin(old.number + 1)
        except OSError as error:
            raise StorageUnavailable("The journal cannot begin a new file.") from error
        with self._guard:
            self._segment = new
            _trim(old)
            if self._refusal or self._fsync_each:
                os.close(old.fd)  # another fsync would fail again, or is not needed
            else:
                self._retired[old.number] = old.fd
            self._closed[old.number] = old.length
            self._closed_bytes += old.length
            self._unsynced = True
        self._refusal = ""
        return old.number

    def discard(self, up_to: int) -> None:
        """Delete segments up to this number, never the open one; their rows are in the database.

        A segment in which replay met damage is renamed to `.damaged` instead. Raises StorageUnavailable; then some may
        be left, and are discarded by the next call.
        """
        # In rising order: a loss of power may bring segments back, but never a hold without the row that settled it.
        for number in sorted(number for number in list(self._closed) if number <= up_to):
            path = self._path(number)
            try:
                if number in self._damaged:
                    path.rename(path.with_name(f"{path.name}.damaged"))
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise StorageUnavailable("A file of the journal cannot be deleted.") from error
            with self._guard:
                self._closed_bytes -= self._closed.pop(number)
                fd = self._retired.pop(number, None)
            if fd is not None:
                os.close(fd)

    def replay(self) -> list[JournalRecord]:
        """Records of segments that an earlier process left and that are not yet discarded, in order.

        Every whole record comes out. Bytes that are none (a torn end, damage) are logged as a warning. Raises
        ConfigProblem when a newer program wrote the journal, StorageUnavailable when it cannot be read.
        """
        records: list[JournalRecord] = []
        for number in self._earlier:
            if number not in self._closed:
                continue
            path = self._path(number)
            try:
                found, gaps = read_frames(path.read_bytes())
            except OSError as error:
                raise StorageUnavailable(f"The journal file {path} cannot be read.") from error
            except msgspec.DecodeError as error:
                raise ConfigProblem(
                    f"The journal file {path} holds a record that this program does not know ({error}).",
                    action="Start the newer version of Dominion that wrote it.",
                ) from error
            records += found
            for gap in gaps:
                self._damaged.add(number)
                log.warning("%s: %d bytes at %d are no whole record and were skipped", path, gap.length, gap.offset)
        return records

    def sync(self) -> None:
        """Bring what was appended to disk. Raises StorageUnavailable; then every append is refused until `rotate`."""
        try:
            with self._guard:
                if not self._unsynced:
                    return
                fds = [os.dup(self._segment.fd), *self._retired.values()]
                self._retired.clear()
                self._unsynced = False
            try:
                for fd in fds:
                    os.fsync(fd)
                _fsync_folder(self._folder)
            finally:
                for fd in fds:
                    os.close(fd)
        except OSError as error:
            # After a failed fsync the kernel may have dropped what it could not write, and says nothing a second time.
            self._refusal = "The journal could not be brought to disk."
            raise StorageUnavailable(self._refusal) from error

    def close(self) -> None:
        """Sync, close, and free the folder. Idempotent; afterwards every append is refused."""
        if self._lock_fd < 0:
            return
        try:
            self.sync()
        finally:
            self._refusal = "The journal is closed."
            with self._guard:
                fds = [self._segment.fd, *self._retired.values(), self._lock_fd]
                self._retired.clear()
                self._lock_fd = -1
            _trim(self._segment)
            for fd in fds:
                os.close(fd)
        if not self._segment.length:
            self._path(self._segment.number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"journal-{number:08d}.log"

    def _begin(self, number: int) -> Segment:
        path = self._path(number)
        fd = os.open(path, NEW_FILE, 0o600)
        try:
            os.posix_fallocate(fd, 0, self._segment_bytes)
            if self._fsync_each:
                _fsync_folder(self._folder)
            return Segment(number, fd, mmap.mmap(fd, self._segment_bytes))
        except OSError:
            os.close(fd)
            path.unlink()
            raise

    def _fsync_record(self, segment: Segment, size: int) -> None:
        """Bring the record just copied to disk, or take it back and let nothing follow it in this segment."""
        try:
            os.fsync(segment.fd)
        except OSError as error:
            segment.view[segment.length : segment.length + size] = bytes(size)
            self._refusal = "The journal could not be brought to disk."
            raise StorageUnavailable(self._refusal) from error


def _trim(segment: Segment) -> None:
    """Unmap a segment and give back the room it did not need; where that fails, replay reads the zeros as such."""
    segment.view.close()
    with contextlib.suppress(OSError):
        os.ftruncate(segment.fd, segment.length)


def _too_much(size: int) -> str:
    if size > MAX_PAYLOAD:
        return f"A record of {size} bytes is too long for the journal."
    return "The journal is full: it waits for the database."


def _take(folder: Path) -> int:
    """Make the folder and lock it for this process; the lock's descriptor."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / "journal.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise ConfigProblem(f"The journal folder {folder} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise ConfigProblem(
            f"The journal folder {folder} is in use by another running process.",
            action="Stop the other gateway, or give each its own folder.",
        ) from error
    return fd


def _segments(folder: Path) -> tuple[dict[int, int], int]:
    """The sizes of the segments in a folder by number, and the highest number that was ever left in it."""
    sizes: dict[int, int] = {}
    last = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if match := NAME.fullmatch(entry.name):
                last = max(last, int(match[1]))
                if not match[2]:
                    sizes[int(match[1])] = entry.stat().st_size
    return sizes, last


def _fsync_folder(folder: Path) -> None:
    """Make the names of new files safe, too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
