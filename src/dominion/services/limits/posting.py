"""Moves ledger rows from the journal into the database, in batches, behind every answer. Never on the hot path.

A row counts from the moment it is in the journal. A segment of the journal is deleted only when all its rows are in
the database and all its holds have ended; whatever an earlier process left is replayed before the doors open.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice

from dominion.domain.errors import StorageUnavailable
from dominion.domain.records import AttemptRecord, Certainty, HoldRecord, JournalRecord, Outcome, UsageRow
from dominion.domain.stores import AttemptStore, Journal, LedgerStore

LOG = logging.getLogger("dominion.posting")
PAUSE = 0.25
"""Seconds between two batches: how far the database may lag behind the journal."""
SYNC_EVERY = 0.05
RETRY = 1.0
"""Seconds until a journal that could not be brought to disk is tried again, with a new segment."""
BATCH = 2_000
RECORDS_PER_SEGMENT = 50_000


class Posting:
    """The one writer of the journal and of the ledger in this process. `attempts` None: failed ones are not kept."""

    def __init__(self, journal: Journal, ledger: LedgerStore, attempts: AttemptStore | None = None) -> None:
        self._journal = journal
        self._ledger = ledger
        self._attempts = attempts
        self._pending: deque[UsageRow | AttemptRecord] = deque()
        self._segment = 0
        self._records = 0
        self._crowded = False  # the journal took no more: its segment must be given back as soon as it can be
        self._open_holds: dict[int, int] = {0: 0}
        self._closed: deque[tuple[int, int, int]] = deque()
        self.posted = 0
        self.appended = 0
        self._failing: set[str] = set()
        self._to_sync, self._to_post = asyncio.Event(), asyncio.Event()  # so that nobody wakes who has nothing to do
        self._tasks: list[asyncio.Task[None]] = []
        self._posting = asyncio.Lock()
        self._heard: Callable[[Sequence[UsageRow]], None] | None = None

    @property
    def pending(self) -> int:
        """Rows that are in the journal and not yet in the database."""
        return len(self._pending)

    def listen(self, heard: Callable[[Sequence[UsageRow]], None]) -> None:
        """Call `heard` with rows that have come into the database; it must neither raise nor wait."""
        self._heard = heard

    @property
    def storage_failing(self) -> bool:
        """Whether the disk under the journal or the database refused what it was last given."""
        return bool(self._failing)

    # --- the hot path: synchronous, one write each

    def open(self, hold: HoldRecord) -> int:
        """Record a hold; returns the mark to give to `close_hold`. Raises StorageUnavailable: do not run."""
        self._append(hold)
        self._open_holds[self._segment] += 1
        return self._segment

    def settle(self, row: UsageRow, mark: int) -> None:
        """Record what a hold came to. Raises StorageUnavailable after having kept the row for the database."""
        self._open_holds[mark] -= 1
        self._queue(row)
        self._append(row)

    def note(self, attempt: AttemptRecord) -> None:
        """Record an attempt that failed. Never raises: it is no charge, and no request may fail for it."""
        if self._attempts is None:
            return
        self._queue(attempt)
        try:
            self._append(attempt)
        except StorageUnavailable as error:
            LOG.info("%s: attempt %d goes to the database only: %s", attempt.request_id, attempt.number, error.message)

    def _queue(self, record: UsageRow | AttemptRecord) -> None:
        self._pending.append(record)
        self.appended += 1
        self._to_post.set()

    def _append(self, record: JournalRecord) -> None:
        try:
            self._journal.append(record)
        except StorageUnavailable:
            self._crowded = True
            self._to_post.set()
            raise
        self._records += 1
        self._to_sync.set()

    # --- the background

    async def start(self) -> int:
        """Recover, then begin to work. Returns the number of rows recovered."""
        new = await self.recover()
        self._tasks = [asyncio.create_task(self._post_always()), asyncio.create_task(self._sync_always())]
        return new

    async def recover(self) -> int:
        """Post what an earlier process left. Returns the number of rows that were new."""
        left = self._journal.replay()
        await self._add_attempts(left)
        recovered = with_lost_holds(left)
        new = await self._ledger.add(recovered) if recovered else 0
        self._journal.discard(self._journal.rotate())
        return new

    async def flush(self) -> None:
        """Return when every row that is in the journal now is in the database. Raises StorageUnavailable."""
        async with self._posting:
            until = self.posted + len(self._pending)  # rows that arrive meanwhile wait for a batch worth its commit
            while self.posted < until:
                batch = list(islice(self._pending, BATCH))
                rows = [one for one in batch if isinstance(one, UsageRow)]
                if len(rows) < len(batch):
                    await self._add_attempts(batch)
                await self._ledger.add(rows)
                for _ in batch:
                    self._pending.popleft()
                self.posted += len(batch)
                if self._heard is not None:
                    self._heard(rows)
            self._tidy()

    async def _add_attempts(self, records: Iterable[JournalRecord]) -> None:
        """Those among `records`, before the rows: whoever sees a row sees what came before it."""
        attempts = [record for record in records if isinstance(record, AttemptRecord)]
        if attempts and self._attempts is not None:
            await self._attempts.add(attempts)

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Inside, nothing moves to the database: what `unposted` gives is just what the database does not know yet."""
        async with self._posting:
            yield

    def unposted(self) -> list[UsageRow]:
        """Rows that are in the journal and, as far as is known, not in the database."""
        return [record for record in self._pending if isinstance(record, UsageRow)]

    async def close(self) -> None:
        """Stop the background, post what is left, close the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.flush()
            if not any(self._open_holds.values()):
                self._journal.discard(self._journal.rotate())
        except StorageUnavailable as error:
            LOG.warning("the journal keeps %d rows for the next start: %s", len(self._pending), error.message)
        self._journal.close()

    async def _post_always(self) -> None:
        while True:
            await self._to_post.wait()
            await asyncio.sleep(PAUSE)
            self._to_post.clear()
            try:
                await self.flush()
                self._say("database")
            except StorageUnavailable as error:
                self._say("database", failure=error.message)
            except Exception as error:  # noqa: BLE001 - a row that cannot be posted must be seen, and tried again
                self._say("database", failure=repr(error))

    async def _sync_always(self) -> None:
        while True:
            await self._to_sync.wait()
            await asyncio.sleep(SYNC_EVERY)
            self._to_sync.clear()
            try:
                await asyncio.to_thread(self._journal.sync)
                self._say("journal")
            except StorageUnavailable as error:
                self._say("journal", failure=error.message)
                await self._mend_journal()

    async def _mend_journal(self) -> None:
        """Begin a new segment, as the journal takes nothing more into one that did not reach the disk."""
        while True:
            await asyncio.sleep(RETRY)
            try:
                self._journal.rotate()
            except StorageUnavailable as error:
                self._say("journal", failure=error.message)
            else:
                self._to_sync.set()
                return

    def _say(self, part: str, *, failure: str = "") -> None:
        """One log line per change of state, however long it lasts. Whoever tells of a failure has it tried again."""
        if failure:
            self._to_post.set()
        if failure and part not in self._failing:
            self._failing.add(part)
            LOG.error("the %s is failing: %s", part, failure)
        if not failure and part in self._failing:
            self._failing.remove(part)
            LOG.warning("the %s works again", part)

    def _tidy(self) -> None:
        """Close a long segment, and delete closed ones whose rows are posted and whose holds have ended."""
        if self._records and (self._crowded or self._records >= RECORDS_PER_SEGMENT):
            self._closed.append((self._journal.rotate(), self._segment, self.appended))
            self._records = 0
            self._crowded = False
            self._segment += 1
            self._open_holds[self._segment] = 0
        while self._closed:
            number, segment, rows = self._closed[0]
            if self._open_holds[segment] or self.posted < rows:
                break
            self._journal.discard(number)
            del self._open_holds[segment]
            self._closed.popleft()


def with_lost_holds(records: list[JournalRecord]) -> list[UsageRow]:
    """The rows of a journal, and a flagged row for each hold that its process never settled.

    A lost hold is charged its likely input and its whole output cap: the most the provider can have billed.
    """
    holds = {record.id: record for record in records if isinstance(record, HoldRecord)}
    rows = [record for record in records if isinstance(record, UsageRow)]
    for row in rows:
        holds.pop(row.id, None)
    return rows + [_lost(hold) for hold in holds.values()]


def _lost(hold: HoldRecord) -> UsageRow:
    return UsageRow(
        id=hold.id,
        at=hold.at,
        user_id=hold.user_id,
        key_id=hold.key_id,
        provider=hold.provider,
        model=hold.model,
        door=hold.door,
        stream=False,
        outcome=Outcome.LOST,
        certainty=Certainty.UNKNOWN,
        input_tokens=hold.likely_input,
        output_tokens=hold.output_cap,
        cache_read_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
        cost_nano=hold.likely_nano,
        latency_ms=0,
        first_ms=0,
        finish="",
        error="gateway_died",
        customer=hold.customer,
        run=hold.run,
    )
