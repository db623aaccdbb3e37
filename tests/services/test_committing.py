"""With the durability "database" no answer ends before its row is committed, and none ends well without it."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from dominion.domain.contracts import Receipt
from dominion.domain.errors import StorageUnavailable
from dominion.domain.records import UsageRow
from dominion.services.limits import committing
from dominion.services.limits import posting as posting_module
from dominion.services.limits.committing import Committed, CommittingPosting
from dominion.stores.memory.accounts import MemoryJournal, MemoryLedger
from tests.services.house import END, Heard, House, Played, text_event, well
from tests.services.house import EVENTS as EVENT_HEADERS
from tests.services.rows import hold, row


class SlowLedger(MemoryLedger):
    """Commits when it is let; counts commits."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        super().__init__(before)
        self.let = asyncio.Event()
        self.let.set()
        self.commits = 0

    async def add(self, rows: Sequence[UsageRow]) -> int:
        await self.let.wait()
        self.commits += 1
        return await super().add(rows)


def gone() -> None:
    raise StorageUnavailable("gone")


async def test_all_who_wait_at_a_time_share_one_commit() -> None:
    ledger = SlowLedger()
    posting = CommittingPosting(MemoryJournal(), ledger)
    for number in range(50):
        posting.settle(row(number), posting.open(hold(number)))
    await asyncio.gather(*(posting.committed(f"req_{number}") for number in range(50)))
    assert ledger.commits == 1
    assert len(await ledger.rows(user_id=None, limit=100)) == 50


async def test_a_request_without_a_row_waits_for_nothing() -> None:
    posting = CommittingPosting(MemoryJournal(), SlowLedger(gone))
    posting.open(hold(1))
    await posting.committed("req_1")


async def test_a_commit_that_takes_too_long_is_an_outage_and_the_row_comes_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(committing, "COMMIT_SECONDS", 0.01)
    ledger = SlowLedger()
    ledger.let.clear()
    posting = CommittingPosting(MemoryJournal(), ledger)
    posting.settle(row(1), posting.open(hold(1)))
    with pytest.raises(StorageUnavailable, match="no answer that is not recorded"):
        await posting.committed("req_1")
    ledger.let.set()
    monkeypatch.undo()
    await posting.committed("req_1")
    assert [one.id for one in await ledger.rows(user_id=None, limit=10)] == ["req_1"]


async def test_a_gateway_that_refuses_everybody_after_a_failed_commit_finds_out_by_itself_that_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(posting_module, "PAUSE", 0.001)
    posting = CommittingPosting(MemoryJournal(), SlowLedger())
    await posting.start()
    posting._say("database", failure="gone")  # and no row waits that could set the background going
    assert posting.storage_failing
    async with asyncio.timeout(5):
        while posting.storage_failing:  # noqa: ASYNC110 - nobody says when it is over
            await asyncio.sleep(0)
    posting.open(hold(1))
    posting.settle(row(1), 0)
    await posting.close()


class Watching(Heard):
    """Notes what the ledger knew when each piece went out."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__()
        self._ledger = ledger
        self.known: list[tuple[bytes, int]] = []

    async def _note(self, piece: bytes) -> None:
        self.known.append((piece, len(await self._ledger.rows(user_id=None, limit=10))))

    async def whole(self, body: bytes, receipt: Receipt) -> None:  # noqa: ARG002 - `Reply`
        await self._note(body)

    async def write(self, chunk: bytes) -> None:
        await self._note(chunk)

    async def end(self, chunk: bytes) -> None:
        await self._note(chunk)


def committed(house: House, ledger: MemoryLedger) -> Committed:
    """The completions of a house, with this durability."""
    house.ledger = ledger
    house.posting = CommittingPosting(MemoryJournal(), ledger)
    house.admission._ledger, house.admission._posting = ledger, house.posting
    return Committed(house.completions.answer, house.posting)


async def test_a_whole_answer_goes_out_after_its_commit() -> None:
    house, ledger = House("alpha"), SlowLedger()
    watching = Watching(ledger)
    house.play("alpha", well())
    await committed(house, ledger).answer(house.call(), watching)
    assert [rows for _, rows in watching.known] == [1]


async def test_the_end_mark_of_a_stream_goes_out_after_the_commit_and_the_text_before() -> None:
    house, ledger = House("alpha"), SlowLedger()
    watching = Watching(ledger)
    house.play("alpha", Played(200, EVENT_HEADERS, text_event("Hel"), text_event("lo"), END))
    await committed(house, ledger).answer(house.call(stream=True), watching)
    assert [rows for piece, rows in watching.known if b"lo" in piece and b"[DONE]" not in piece] == [0]
    assert [rows for piece, rows in watching.known if b"[DONE]" in piece] == [1]


@pytest.mark.parametrize("stream", [False, True])
async def test_without_the_database_no_answer_ends_well_and_the_row_is_kept(*, stream: bool) -> None:
    house, ledger = House("alpha"), SlowLedger(gone)
    watching = Watching(SlowLedger())
    answered = committed(house, SlowLedger())  # the standing is read before the database goes
    answered._posting._ledger = ledger
    house.play("alpha", Played(200, EVENT_HEADERS, text_event("Hi"), END) if stream else well())
    with pytest.raises(StorageUnavailable, match="no answer that is not recorded"):
        await answered.answer(house.call(stream=stream), watching)
    assert not [piece for piece, _ in watching.known if b"[DONE]" in piece or b"prompt_tokens" in piece]
    assert [one.id for one in answered._posting.unposted()] == ["req_1"]


async def test_while_the_database_is_known_to_be_gone_nobody_is_asked() -> None:
    house, ledger = House("alpha"), SlowLedger()
    answered = committed(house, ledger)
    answered._posting._say("database", failure="gone")
    with pytest.raises(StorageUnavailable, match="no answer that is not recorded"):
        await answered.answer(house.call(), Heard())
    assert house.asked() == ""
