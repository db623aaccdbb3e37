"""The journal's contract in both implementations, and what the one on disk does when disk or bytes fail."""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from dominion.domain.errors import ConfigProblem, StorageUnavailable
from dominion.domain.records import JournalRecord
from dominion.domain.stores import Journal
from dominion.stores.files.frames import MAX_PAYLOAD, frame
from dominion.stores.files.journal import SEGMENT_BYTES, FileJournal
from dominion.stores.memory.accounts import MemoryJournal
from tests.stores.samples import attempt, hold, row

Restart = Callable[[], Journal]


@pytest.fixture(params=["memory", "journal", "fsync"])
def restart(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Restart]:
    """Begins a journal's first process, and then each next one after the end of the one before."""
    opened: list[Journal] = []

    def again() -> Journal:
        before = opened[-1] if opened else None
        if before:
            before.close()
        if request.param == "memory":
            opened.append(MemoryJournal(before.left if isinstance(before, MemoryJournal) else ()))
        else:
            opened.append(FileJournal(tmp_path / "journal", mode=request.param))
        return opened[-1]

    yield again
    opened[-1].close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[FileJournal]:
    opened = FileJournal(tmp_path / "journal")
    yield opened
    opened.close()


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "journal.lock")


# --- the contract


def test_a_new_process_replays_what_the_one_before_left_and_not_its_own(restart: Restart) -> None:
    first = restart()
    assert first.replay() == []
    for record in (hold(1), row(1), hold(2)):
        first.append(record)
    assert first.replay() == []
    second = restart()
    second.append(row(2))
    assert second.replay() == second.replay() == [hold(1), row(1), hold(2)]
    assert restart().replay() == [hold(1), row(1), hold(2), row(2)]


def test_records_are_replayed_in_order_over_all_segments(restart: Restart) -> None:
    written = []
    for process in range(3):
        journal = restart()
        for number in range(5):
            journal.append(row(10 * process + number))
            written.append(row(10 * process + number))
            if number % 2:
                journal.rotate()
    assert restart().replay() == written


def test_a_discarded_segment_is_gone_and_later_ones_stay(restart: Restart) -> None:
    journal = restart()
    journal.append(row(1))
    first = journal.rotate()
    journal.append(row(2))
    second = journal.rotate()
    journal.append(row(3))
    assert first < second
    journal.discard(first)
    journal.discard(first)
    journal.sync()
    assert restart().replay() == [row(2), row(3)]


def test_the_open_segment_is_never_discarded(restart: Restart) -> None:
    journal = restart()
    journal.append(row(1))
    journal.rotate()
    journal.append(row(2))
    journal.discard(10**6)
    journal.append(row(3))
    assert restart().replay() == [row(2), row(3)]


def test_rotating_and_discarding_at_the_start_forgets_what_was_replayed(restart: Restart) -> None:
    restart().append(row(1))
    journal = restart()
    assert journal.replay() == [row(1)]
    journal.discard(journal.rotate())
    assert journal.replay() == []
    journal.append(row(2))
    assert restart().replay() == [row(2)]


# --- files


@pytest.mark.usefixtures("journal")
def test_segments_and_their_folder_are_private(tmp_path: Path) -> None:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "journal", *(tmp_path / "journal").iterdir())]
    assert modes == [0o700, 0o600, 0o600]


def test_an_empty_segment_is_neither_rotated_nor_left_behind(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    assert (journal.rotate(), journal.rotate()) == (0, 0)
    journal.append(row(1))
    assert journal.rotate() == 1
    assert segments(tmp_path) == ["journal-00000001.log", "journal-00000002.log"]
    journal.close()
    journal.close()
    assert segments(tmp_path) == ["journal-00000001.log"]


def test_a_closed_journal_refuses_records(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    journal.close()
    with pytest.raises(StorageUnavailable, match="is closed"):
        journal.append(row(1))


def test_two_processes_cannot_share_a_folder(journal: FileJournal, tmp_path: Path) -> None:
    with pytest.raises(ConfigProblem, match="in use by another running process"):
        FileJournal(tmp_path / "journal")
    journal.append(row(1))
    journal.close()
    FileJournal(tmp_path / "journal").close()


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigProblem, match="cannot be used: Not a directory"):
        FileJournal(tmp_path / "file" / "journal")


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "journal-notes.log").write_text("mine")
    journal = FileJournal(tmp_path)
    journal.append(row(1))
    journal.discard(journal.rotate())
    assert journal.replay() == []
    journal.close()
    assert segments(tmp_path) == ["journal-notes.log"]


# --- damage


def test_a_torn_end_is_left_out_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = FileJournal(tmp_path)
    for number in range(3):
        journal.append(row(number))
    journal.close()
    path = tmp_path / "journal-00000001.log"
    size = path.stat().st_size // 3
    os.truncate(path, 3 * size - 1)
    journal = FileJournal(tmp_path)
    assert journal.replay() == [row(0), row(1)]
    journal.close()
    assert f"{size - 1} bytes at {2 * size} are no whole record" in caplog.text


def test_a_damaged_segment_gives_every_other_record_and_is_kept_when_discarded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = FileJournal(tmp_path)
    for number in range(3):
        journal.append(row(number))
    journal.rotate()
    journal.append(row(3))
    journal.close()
    path = tmp_path / "journal-00000001.log"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0x40
    path.write_bytes(damaged)
    journal = FileJournal(tmp_path)
    assert journal.replay() == [row(0), row(2), row(3)]
    assert f"{path}: {len(damaged) // 3} bytes at {len(damaged) // 3} are no whole record" in caplog.text
    journal.discard(journal.rotate())
    journal.close()
    assert segments(tmp_path) == ["journal-00000001.log.damaged"]
    assert (tmp_path / "journal-00000001.log.damaged").read_bytes() == damaged
    journal = FileJournal(tmp_path)
    assert journal.replay() == []
    assert segments(tmp_path) == ["journal-00000001.log.damaged", "journal-00000002.log"]
    journal.close()


def test_a_record_of_a_newer_program_stops_the_start_instead_of_being_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal-00000007.log"
    path.write_bytes(frame(msgspec.msgpack.encode(["z", 1])))
    journal = FileJournal(tmp_path)
    with pytest.raises(ConfigProblem, match=r"journal-00000007.log holds a record that this program does not know"):
        journal.replay()
    journal.close()
    assert path.exists()


# --- a disk that fails: the descriptor is exchanged for one that really fails in the wanted way


def exchange(journal: FileJournal, path: str) -> None:
    failing = os.open(path, os.O_WRONLY)
    os.dup2(failing, journal._segment.fd)
    os.close(failing)


def test_a_segment_whose_unused_room_cannot_be_given_back_is_read_all_the_same(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal")
    journal.append(row(1))
    exchange(journal, "/dev/full")  # refuses truncating, and fsync
    assert journal.rotate() == 1
    journal.append(row(2))
    with pytest.raises(StorageUnavailable):
        journal.close()
    assert (tmp_path / "journal" / "journal-00000001.log").stat().st_size == SEGMENT_BYTES
    journal = FileJournal(tmp_path / "journal")
    assert journal.replay() == [row(1), row(2)]
    journal.close()


def test_where_no_segment_can_begin_holds_are_refused_and_rows_of_running_requests_are_not(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal", segment_bytes=16_384)
    (tmp_path / "journal" / "journal-00000002.log").mkdir()
    running = (16_384 - 1024) // len(frame(msgspec.msgpack.encode(hold(0))))
    for _ in range(running):
        journal.append(hold(0))
    with pytest.raises(StorageUnavailable, match="cannot begin a new file"):
        journal.append(hold(0))
    for number in range(4):
        journal.append(row(number))
    (tmp_path / "journal" / "journal-00000002.log").rmdir()
    journal.append(hold(0))
    journal.close()


def test_a_journal_that_cannot_be_brought_to_disk_takes_no_more_until_it_is_rotated(
    journal: FileJournal, tmp_path: Path
) -> None:
    journal.append(row(1))
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    exchange(journal, str(tmp_path / "pipe"))  # takes writes, refuses fsync
    with pytest.raises(StorageUnavailable, match="could not be brought to disk"):
        journal.sync()
    with pytest.raises(StorageUnavailable, match="could not be brought to disk"):
        journal.append(row(2))
    journal.rotate()
    journal.append(row(3))
    journal.sync()
    os.close(reading)


def test_a_record_that_must_be_on_disk_and_is_not_does_not_count(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal", mode="fsync")
    journal.append(row(1))
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    exchange(journal, str(tmp_path / "pipe"))
    with pytest.raises(StorageUnavailable, match="could not be brought to disk"):
        journal.append(row(2))
    journal.rotate()
    journal.append(row(3))
    os.close(reading)
    journal.close()
    journal = FileJournal(tmp_path / "journal")
    assert journal.replay() == [row(1), row(3)]
    journal.close()


def test_a_segment_that_cannot_be_begun_leaves_the_open_one_in_use(journal: FileJournal, tmp_path: Path) -> None:
    journal.append(row(1))
    (tmp_path / "journal" / "journal-00000002.log").mkdir()
    with pytest.raises(StorageUnavailable, match="cannot begin a new file"):
        journal.rotate()
    journal.append(row(2))
    (tmp_path / "journal" / "journal-00000002.log").rmdir()
    assert journal.rotate() == 1


def test_a_segment_that_cannot_be_deleted_is_deleted_the_next_time(journal: FileJournal, tmp_path: Path) -> None:
    journal.append(row(1))
    number = journal.rotate()
    path = tmp_path / "journal" / "journal-00000001.log"
    path.rename(tmp_path / "kept")
    path.mkdir()
    with pytest.raises(StorageUnavailable, match="cannot be deleted"):
        journal.discard(number)
    path.rmdir()
    (tmp_path / "kept").rename(path)
    journal.discard(number)
    assert segments(tmp_path / "journal") == ["journal-00000002.log"]


# --- limits


def appended(journal: FileJournal, records: Iterable[JournalRecord]) -> int:
    """How many records a journal takes before it says that it is full."""
    for count, record in enumerate(records):
        try:
            journal.append(record)
        except StorageUnavailable as error:
            return count if "is full" in error.message else -1
    return -1


def test_a_full_journal_refuses_holds_first_then_rows_and_takes_both_when_it_was_emptied(tmp_path: Path) -> None:
    size = len(frame(msgspec.msgpack.encode(row(100))))
    hold_size = len(frame(msgspec.msgpack.encode(hold(100))))
    limit = size * 64
    journal = FileJournal(tmp_path, max_bytes=limit)
    assert appended(journal, (row(number) if number < 120 else hold(number) for number in range(100, 900))) == (
        20 + (size * 60 - size * 20) // hold_size
    )
    journal.rotate()
    assert 3 <= appended(journal, (row(number) for number in range(100, 900))) <= 4
    journal.close()
    journal = FileJournal(tmp_path, max_bytes=limit)
    assert appended(journal, [row(100)]) == 0
    journal.discard(1)
    assert appended(journal, (row(number) for number in range(100, 900))) >= 59
    journal.close()
    assert limit - size < sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit


def test_a_full_journal_refuses_attempts_before_rows(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, max_bytes=len(frame(msgspec.msgpack.encode(row(100)))) * 64)
    assert appended(journal, (attempt(number, 1) for number in range(100, 900))) > 60
    for number in range(100, 103):
        journal.append(row(number))
    assert appended(journal, [attempt(900, 1)]) == 0
    journal.close()


def test_a_record_that_no_reader_would_believe_is_refused(journal: FileJournal) -> None:
    with pytest.raises(StorageUnavailable, match="too long"):
        journal.append(row(1, error="x" * MAX_PAYLOAD))
    journal.append(row(2))


# --- threads


def test_syncing_and_discarding_in_other_threads_loses_and_doubles_nothing(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    done, discarded_some = threading.Event(), threading.Event()
    closed = [0]
    discarded = [0]

    def sync() -> None:
        while not done.is_set():
            journal.sync()

    def discard() -> None:
        while not done.is_set():
            discarded.append(max(0, closed[-1] - 3))
            journal.discard(discarded[-1])
            if discarded[-1] > 3:
                discarded_some.set()

    with ThreadPoolExecutor(3) as threads:
        running = [threads.submit(work) for work in (sync, sync, discard)]
        for number in range(6_000):
            journal.append(row(number))
            if number % 100 == 99:
                closed.append(journal.rotate())
            if number == 3_000:
                assert discarded_some.wait(30)
        done.set()
    assert [work.result() for work in running] == [None] * 3
    journal.close()
    journal = FileJournal(tmp_path)
    # Segments have 100 records each, and numbers from 1.
    assert journal.replay() == [row(number) for number in range(100 * discarded[-1], 6_000)]
    journal.close()
