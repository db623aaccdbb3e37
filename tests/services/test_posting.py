"""Rows reach the ledger exactly once, whatever fails and whenever the process dies."""

import asyncio

import pytest

from dominion.domain.errors import StorageUnavailable
from dominion.domain.records import Certainty, HoldRecord, Outcome, UsageRow
from dominion.services.limits import posting as posting_module
from dominion.services.limits.posting import Posting, with_lost_holds
from dominion.stores.memory.accounts import MemoryJournal, MemoryLedger
from dominion.stores.memory.attempts import MemoryAttempts
from tests.services.rows import attempt, hold, row


async def stored(ledger: MemoryLedger) -> dict[str, int]:
    return {one.id: one.outcome for one in await ledger.rows(user_id=None, limit=1000)}


async def test_a_settled_row_is_in_the_journal_at_once_and_in_the_ledger_after_a_flush() -> None:
    journal, ledger = MemoryJournal(), MemoryLedger()
    posting = Posting(journal, ledger)
    await posting.start()
    mark = posting.open(hold(1))
    posting.settle(row(1), mark)
    assert journal.left == [hold(1), row(1)]
    assert posting.pending == 1
    await posting.flush()
    assert await stored(ledger) == {"req_1": Outcome.OK}
    await posting.close()
    assert journal.left == []


@pytest.mark.parametrize("died_after", range(7))
async def test_a_process_that_dies_after_any_record_leaves_each_request_exactly_one_row(died_after: int) -> None:
    records: list[HoldRecord | UsageRow] = [hold(1), hold(2), row(1), hold(3), row(3), row(2)]
    left = records[:died_after]
    ledger = MemoryLedger()
    for _ in range(2):  # the second start finds the same journal again: the first died before it deleted it
        posting = Posting(MemoryJournal(left), ledger)
        await posting.start()
        await posting.close()
    rows = await stored(ledger)
    settled = {record.id for record in left if record in (row(1), row(2), row(3))}
    assert set(rows) == {record.id for record in left}
    assert {name for name, outcome in rows.items() if outcome == Outcome.OK} == settled


def test_a_lost_hold_is_charged_its_likely_input_and_whole_output_cap_and_flagged() -> None:
    (lost,) = with_lost_holds([hold(1)])
    assert (lost.outcome, lost.certainty) == (Outcome.LOST, Certainty.UNKNOWN)
    assert (lost.input_tokens, lost.output_tokens, lost.cost_nano) == (10, 50, 110_000)


async def test_a_database_that_fails_loses_nothing_and_doubles_nothing() -> None:
    failing = True

    def before() -> None:
        if failing:
            raise StorageUnavailable("gone")

    ledger = MemoryLedger(before)
    posting = Posting(MemoryJournal(), ledger)
    await posting.start()
    for number in range(3):
        posting.settle(row(number), posting.open(hold(number)))
    with pytest.raises(StorageUnavailable):
        await posting.flush()
    assert posting.pending == 3
    failing = False
    await posting.flush()
    await posting.close()
    assert set(await stored(ledger)) == {"req_0", "req_1", "req_2"}


async def test_an_error_that_nobody_foresaw_is_seen_and_posting_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting_module, "PAUSE", 0.001)
    tries, seen = asyncio.Event(), asyncio.Event()

    def before() -> None:
        if tries.is_set():
            seen.set()
        else:
            tries.set()
            raise OverflowError("a number that no database takes")

    ledger = MemoryLedger(before)
    posting = Posting(MemoryJournal(), ledger)
    await posting.start()
    posting.settle(row(1), posting.open(hold(1)))
    await asyncio.wait_for(tries.wait(), 5)
    await asyncio.sleep(0)
    assert posting.storage_failing
    await asyncio.wait_for(seen.wait(), 5)
    await posting.flush()
    assert await stored(ledger) == {"req_1": Outcome.OK}
    await posting.close()


async def test_rows_that_could_not_be_posted_at_the_end_stay_in_the_journal_for_the_next_start() -> None:
    failing = False

    def before() -> None:
        if failing:
            raise StorageUnavailable("gone")

    journal, ledger = MemoryJournal(), MemoryLedger(before)
    posting = Posting(journal, ledger)
    await posting.start()
    posting.settle(row(1), posting.open(hold(1)))
    failing = True
    await posting.close()
    assert journal.left == [hold(1), row(1)]


async def test_a_journal_that_fails_at_the_hold_opens_nothing_and_at_the_row_still_keeps_it_for_the_ledger() -> None:
    failing = False

    def before() -> None:
        if failing:
            raise StorageUnavailable("disk full")

    journal, ledger = MemoryJournal(before=before), MemoryLedger()
    posting = Posting(journal, ledger)
    await posting.start()
    mark = posting.open(hold(1))
    failing = True
    with pytest.raises(StorageUnavailable):
        posting.open(hold(2))
    with pytest.raises(StorageUnavailable):
        posting.settle(row(1), mark)
    failing = False
    await posting.flush()
    await posting.close()
    assert await stored(ledger) == {"req_1": Outcome.OK}


async def test_a_journal_that_was_full_takes_records_again_when_its_rows_are_posted() -> None:
    full, ledger = True, MemoryLedger()

    def before() -> None:
        if full and len(journal.left) >= 2:
            raise StorageUnavailable("full")

    journal = MemoryJournal(before=before)
    posting = Posting(journal, ledger)
    posting.settle(row(1), posting.open(hold(1)))
    with pytest.raises(StorageUnavailable):
        posting.open(hold(2))
    full = False  # for the calls that make room
    await posting.flush()
    full = True
    assert journal.left == []
    posting.settle(row(2), posting.open(hold(2)))


async def test_a_segment_is_deleted_only_when_its_rows_are_posted_and_its_holds_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(posting_module, "RECORDS_PER_SEGMENT", 4)
    journal, ledger = MemoryJournal(), MemoryLedger()
    posting = Posting(journal, ledger)
    await posting.start()
    slow = posting.open(hold(100))
    for number in range(4):
        posting.settle(row(number), posting.open(hold(number)))
    await posting.flush()  # closes the segment, which the slow request still needs
    await posting.flush()
    assert hold(100) in journal.left
    posting.settle(row(100), slow)
    await posting.flush()
    await posting.flush()
    assert hold(100) not in journal.left
    await posting.close()
    assert len(await stored(ledger)) == 5


async def test_attempts_reach_the_database_once_whether_the_process_lives_or_dies() -> None:
    journal, ledger = MemoryJournal(), MemoryLedger()
    attempts = MemoryAttempts(ledger)
    posting = Posting(journal, ledger, attempts)
    await posting.start()
    mark = posting.open(hold(1))
    posting.note(attempt(1, 1))
    posting.note(attempt(1, 2))
    posting.settle(row(1), mark)
    assert posting.pending == 3
    left = journal.left
    await posting.flush()
    await posting.close()
    assert journal.left == []
    after_death = MemoryLedger()
    recovered = MemoryAttempts(after_death)
    for store in (attempts, recovered, recovered):
        again = Posting(MemoryJournal(left), ledger if store is attempts else after_death, store)
        await again.start()
        await again.close()
        assert await store.of_request("req_1") == [attempt(1, 1), attempt(1, 2)]
    assert set(await stored(after_death)) == {"req_1"}


async def test_a_segment_is_kept_until_its_attempts_are_posted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting_module, "RECORDS_PER_SEGMENT", 1)
    failing = False

    def before() -> None:
        if failing:
            raise StorageUnavailable("gone")

    journal, ledger = MemoryJournal(), MemoryLedger()
    posting = Posting(journal, ledger, MemoryAttempts(ledger, before))
    await posting.start()
    mark = posting.open(hold(1))
    posting.note(attempt(1, 1))
    posting.settle(row(1), mark)
    failing = True
    with pytest.raises(StorageUnavailable):
        await posting.flush()
    assert attempt(1, 1) in journal.left
    failing = False
    await posting.flush()
    await posting.flush()
    assert attempt(1, 1) not in journal.left
    await posting.close()


async def test_an_attempt_that_the_journal_does_not_take_fails_nobody() -> None:
    failing = False

    def before() -> None:
        if failing:
            raise StorageUnavailable("disk full")

    ledger = MemoryLedger()
    attempts = MemoryAttempts(ledger)
    posting = Posting(MemoryJournal(before=before), ledger, attempts)
    await posting.start()
    failing = True
    posting.note(attempt(1, 1))
    failing = False
    await posting.close()
    assert await attempts.of_request("req_1") == [attempt(1, 1)]
