"""The durability "database": no last byte leaves before its row is committed. Used only where the operator asks for it.

The journal is written all the same, so a row that could not be committed in time is not lost; its caller hears that the
answer cannot be given.
"""

import asyncio
from collections.abc import Awaitable, Callable

from dominion.domain.contracts import Call, Receipt, Reply
from dominion.domain.errors import StorageUnavailable
from dominion.domain.records import HoldRecord, UsageRow
from dominion.domain.stores import AttemptStore, Journal, LedgerStore
from dominion.services.limits.posting import Posting

COMMIT_SECONDS = 2.0
SENTENCE = "The database is not available, and this gateway gives no answer that is not recorded there."


class CommittingPosting(Posting):
    """`Posting` whose rows can be waited for; all that wait at a time share one commit."""

    def __init__(self, journal: Journal, ledger: LedgerStore, attempts: AttemptStore | None = None) -> None:
        super().__init__(journal, ledger, attempts)
        self._numbers: dict[str, int] = {}  # of rows of running requests: which of all that were settled
        self._commit: asyncio.Task[None] | None = None

    def open(self, hold: HoldRecord) -> int:
        """See `Posting.open`; raises StorageUnavailable also while the database is known to be gone."""
        if self.storage_failing:
            raise StorageUnavailable(SENTENCE)
        return super().open(hold)

    def settle(self, row: UsageRow, mark: int) -> None:
        """See `Posting.settle`."""
        self._numbers[row.id] = self.appended + 1
        super().settle(row, mark)

    def forget(self, request_id: str) -> None:
        """Nobody will wait for this request any more."""
        self._numbers.pop(request_id, None)

    async def committed(self, request_id: str) -> None:
        """Return when the row of a request is in the database, at once while it has none. Raises StorageUnavailable."""
        number = self._numbers.get(request_id, 0)
        if self.posted >= number:
            return
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                while self.posted < number:
                    await asyncio.shield(self._committing())
        except (StorageUnavailable, TimeoutError) as error:
            self._say("database", failure=str(error) or "it takes too long")
            raise StorageUnavailable(SENTENCE) from error

    def _committing(self) -> asyncio.Task[None]:
        if self._commit is None or self._commit.done():
            self._commit = asyncio.create_task(self.flush())
            self._commit.add_done_callback(lambda done: done.cancelled() or done.exception())  # if all have gone
        return self._commit


class Committed:
    """Answers as `answer` does, except that the last byte waits for the row."""

    def __init__(self, answer: Callable[[Call, Reply], Awaitable[None]], posting: CommittingPosting) -> None:
        self._answer = answer
        self._posting = posting

    async def answer(self, call: Call, reply: Reply) -> None:
        """See `Completions.answer`. Raises also StorageUnavailable when the row could not be committed."""
        try:
            await self._answer(call, CommittedReply(reply, call.id, self._posting))
        finally:
            self._posting.forget(call.id)


class CommittedReply:
    """`Reply` that holds back what comes after the row."""

    def __init__(self, reply: Reply, request_id: str, posting: CommittingPosting) -> None:
        self._reply = reply
        self._request_id = request_id
        self._posting = posting
        self._failed: StorageUnavailable | None = None
        self.start = reply.start

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""
        return self._reply.started

    @started.setter
    def started(self, started: bool) -> None:
        self._reply.started = started

    async def whole(self, body: bytes, receipt: Receipt) -> None:
        """The whole answer at once. Raises StorageUnavailable."""
        await self._recorded()
        await self._reply.whole(body, receipt)

    async def write(self, chunk: bytes) -> None:
        """More of the stream; the end mark, when the row has been written. Raises StorageUnavailable."""
        await self._recorded()
        await self._reply.write(chunk)

    async def end(self, chunk: bytes) -> None:
        """The last of the stream. Raises StorageUnavailable: then the stream must end as an error."""
        await self._recorded()
        await self._reply.end(chunk)

    async def _recorded(self) -> None:
        """Once it has failed it has failed: what was held back is not in the stream."""
        if self._failed is not None:
            raise self._failed
        try:
            await self._posting.committed(self._request_id)
        except StorageUnavailable as error:
            self._failed = error
            raise
