"""Holds are set aside before and replaced by the truth after, in the windows of their admission."""

import msgspec
import pytest

from dominion.domain.errors import QuotaExceeded, StorageUnavailable
from dominion.domain.people import Limits, User
from dominion.domain.records import Outcome
from dominion.domain.usage import Price
from dominion.rules.limits.verdict import Ask, Standing
from dominion.services.limits.admission import Admission
from dominion.services.limits.posting import Posting
from dominion.stores.memory.accounts import MemoryJournal, MemoryLedger
from tests.services.clocks import HandClock
from tests.services.rows import hold, row

ASK = Ask(input_bound=10, output_cap=50, choices=1, price=Price(input=1_000_000, output=2_000_000))


async def house(limits: Limits, clock: HandClock, journal: MemoryJournal | None = None) -> tuple[Admission, Standing]:
    ledger = MemoryLedger()
    await ledger.add([row(900, input_tokens=100, output_tokens=100, cost_nano=1_000_000)])
    posting = Posting(journal or MemoryJournal(), ledger)
    admission = Admission(ledger, posting, clock, rate_window=60.0)
    return admission, await admission.standing(User("usr_1", "A", None, "active", limits, 0))


async def test_a_standing_begins_with_what_the_ledger_says() -> None:
    _, standing = await house(Limits(), HandClock())
    assert (standing.day.requests, standing.day.tokens, standing.month.spend) == (1, 200, 1_000_000)


async def test_the_truth_replaces_the_hold() -> None:
    admission, standing = await house(Limits(), HandClock())
    held = admission.hold(standing, ASK, hold(1))
    assert (standing.running, standing.day.held_requests, standing.day.held_tokens) == (1, 1, 60)
    assert standing.month.held_spend == 110_000
    admission.settle(held, row(1))
    assert (standing.running, standing.day.held_requests, standing.day.held_tokens, standing.month.held_spend) == (
        0,
        0,
        0,
        0,
    )
    assert (standing.day.requests, standing.day.tokens, standing.month.spend) == (2, 228, 1_048_000)


async def test_a_failed_request_uses_no_quota() -> None:
    admission, standing = await house(Limits(), HandClock())
    admission.settle(admission.hold(standing, ASK, hold(1)), row(1, outcome=Outcome.FAILED, cost_nano=0))
    assert (standing.day.requests, standing.day.held_requests) == (1, 0)


async def test_a_request_over_midnight_is_charged_to_the_day_and_month_of_its_admission() -> None:
    clock = HandClock(1_769_903_999.0)  # 2026-01-31T23:59:59Z
    admission, standing = await house(Limits(daily_requests=1), clock)
    old_day, old_month = standing.day, standing.month
    held = admission.hold(standing, ASK, hold(1))
    with pytest.raises(QuotaExceeded):
        admission.hold(standing, ASK, hold(2))
    clock.move(2)
    later = admission.hold(standing, ASK, hold(3))
    admission.settle(held, row(1))
    assert (old_day.requests, old_month.spend) == (1, 1_048_000)
    assert (standing.day.requests, standing.day.held_requests, standing.month.spend) == (0, 1, 0)
    admission.settle(later, row(3))
    assert standing.day.requests == 1


async def test_the_same_day_again_keeps_its_window_when_the_clock_steps_inside_it() -> None:
    clock = HandClock()
    admission, standing = await house(Limits(), clock)
    day = standing.day
    clock.move(3600)
    admission.settle(admission.hold(standing, ASK, hold(1)), row(1))
    assert standing.day is day
    clock.move(-7200)  # yesterday, by a clock that was set back: no second chance
    admission.settle(admission.hold(standing, ASK, hold(2)), row(2))
    assert standing.day is day


async def test_a_hold_that_cannot_be_recorded_is_not_set_aside() -> None:
    def before() -> None:
        raise StorageUnavailable("disk full")

    admission, standing = await house(Limits(), HandClock(), MemoryJournal(before=before))
    with pytest.raises(StorageUnavailable):
        admission.hold(standing, ASK, hold(1))
    assert (standing.running, standing.day.held_requests, standing.month.held_spend) == (0, 0, 0)


async def test_a_lowered_cap_is_what_the_hold_record_says() -> None:
    journal = MemoryJournal()
    admission, standing = await house(Limits(daily_tokens=240), HandClock(), journal)
    held = admission.hold(standing, ASK, hold(1))
    assert (held.grant.output_cap, held.grant.lowered) == (30, True)
    (recorded,) = journal.left
    assert getattr(recorded, "output_cap", None) == 30


async def test_a_record_made_before_midnight_and_held_after_it_belongs_to_the_new_day() -> None:
    clock = HandClock(1_769_903_999.5)  # 2026-01-31T23:59:59.5Z
    admission, standing = await house(Limits(), clock)
    made = msgspec.structs.replace(hold(1), at=int(clock.now() * 1000))
    clock.move(1)
    held = admission.hold(standing, ASK, made)
    assert (held.at, held.record.at) == (1_769_904_000_000, 1_769_904_000_000)
    assert held.day.number == held.at // 86_400_000


async def test_a_clock_that_is_set_back_dates_nothing_into_a_day_that_is_over_here() -> None:
    clock = HandClock(1_769_904_000.0)  # 2026-02-01T00:00:00Z
    admission, standing = await house(Limits(), clock)
    clock.move(-3600)
    made = msgspec.structs.replace(hold(1), at=int(clock.now() * 1000))
    held = admission.hold(standing, ASK, made)
    assert (held.at, held.day.number) == (1_769_904_000_000, 1_769_904_000 // 86_400)
    other = await admission.standing(User("usr_2", "B", None, "active", Limits(), 0))
    assert (other.day.number, other.month.number) == (standing.day.number, standing.month.number)
