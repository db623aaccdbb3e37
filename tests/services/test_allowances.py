"""Several processes on one database never spend more than a limit together, and the last cent can be spent by any."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from dominion.domain.allowances import Amount, Want
from dominion.domain.errors import QuotaExceeded, RateLimited, StorageUnavailable, TooManyConcurrent
from dominion.domain.records import Certainty, HoldRecord, Outcome, Totals
from dominion.domain.usage import Price
from dominion.rules.limits.verdict import Ask
from dominion.services.limits.admission import Hold
from tests.services.clocks import HandClock
from tests.services.leasing import CENTS_2, House, fixed, in_database, in_memory, month_key, somebody

KINDS = ("memory", "sqlite", "postgres")
DOLLAR = 1_000_000_000


@pytest.fixture(params=KINDS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """Processes on each kind of database."""
    made: AbstractAsyncContextManager[House]
    if request.param == "memory":
        made = in_memory()
    else:
        made = in_database(
            tmp_path / "gateway.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
        )
    async with made as processes:
        yield processes


@pytest.mark.parametrize("settling", [False, True])
async def test_two_hundred_requests_against_a_budget_of_fifty_are_exactly_fifty(
    house: House, *, settling: bool
) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(monthly_spend_nano=DOLLAR)

    async def one(number: int) -> Hold | None:
        process = (a, b)[number % 2]
        hold = await process.try_to(user, fixed())
        if hold is not None and settling:
            await asyncio.sleep(0)
            process.settle(hold)
        return hold

    holds = await asyncio.gather(*(one(number) for number in range(200)))
    assert sum(hold is not None for hold in holds) == 50
    if not settling:
        for number, hold in enumerate(holds):
            if hold is not None:
                (a, b)[number % 2].settle(hold)
    await house.flush()
    assert await house.spent(user) == DOLLAR


async def test_check_then_increment_overshoots_where_leases_do_not(house: House) -> None:
    """The control: the same race with a check that is no hold."""
    a, b = await house.start("a"), await house.start("b")
    user = somebody()

    async def one(number: int) -> bool:
        process = (a, b)[number % 2]
        if await house.spent(user) + CENTS_2 > DOLLAR:
            return False
        await asyncio.sleep(0)
        process.settle(await process.ask(user, fixed()))
        await process.posting.flush()
        return True

    passed = sum(await asyncio.gather(*(one(number) for number in range(200))))
    assert passed > 50
    assert await house.spent(user) > DOLLAR


async def test_the_last_cent_can_be_spent_by_any_process(house: House) -> None:
    processes = [await house.start(name) for name in "abcd"]
    await house.beat()
    user = somebody(monthly_spend_nano=DOLLAR)
    for number in range(50):
        process = processes[number % 4]
        process.settle(await process.ask(user, fixed()))
    for process in processes:
        assert await process.try_to(user, fixed(1)) is None
    await house.flush()
    assert await house.spent(user) == DOLLAR


async def test_one_process_spends_what_an_idle_one_has_leased(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(daily_requests=8)
    a.settle(await a.ask(user, fixed()))  # leases more than it uses
    for _ in range(7):
        b.settle(await b.ask(user, fixed()))
    with pytest.raises(QuotaExceeded) as caught:
        await b.ask(user, fixed())
    assert (caught.value.limit, caught.value.used) == (8, 8)


async def test_idle_leases_go_back_within_two_reports(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    user = somebody(monthly_spend_nano=DOLLAR)
    a.settle(await a.ask(user, fixed()))
    await house.flush()
    await house.move(1)
    await house.move(1)
    (taken,) = await b.stores.allowances.take(
        "b", [Want(month_key(user, a.clock), Amount(spend_nano=DOLLAR), Amount(spend_nano=DOLLAR - CENTS_2))], []
    )
    assert taken.more.spend_nano == DOLLAR - CENTS_2


async def test_what_the_truth_leaves_of_a_hold_can_be_spent_again(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(monthly_spend_nano=DOLLAR)
    spent = 0
    for number in range(600):  # the real cost is a tenth of the worst case
        process = (a, b)[number % 2]
        hold = await process.try_to(user, fixed())
        if hold is None:
            break
        process.settle(hold, nano=CENTS_2 // 10)
        spent += CENTS_2 // 10
    assert DOLLAR - CENTS_2 < spent <= DOLLAR


async def test_the_cap_is_lowered_to_what_all_processes_together_have_left(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(daily_tokens=1000)
    ask = Ask(input_bound=100, output_cap=700, choices=1, price=Price(input=1, output=1))
    first = await a.ask(user, ask)
    second = await b.ask(user, ask)
    assert (first.grant.output_cap, second.grant.output_cap, second.grant.lowered) == (700, 100, True)


async def test_a_refusal_says_again_what_is_short_and_refuses_nobody_who_needs_less(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(daily_tokens=1000, daily_requests=100)
    a.settle(await a.ask(user, fixed()))
    await house.flush()
    large = Ask(input_bound=2000, output_cap=50, choices=1, price=Price(input=1, output=1))
    for process in (a, a, a, b, b):  # no time passes: the second refusal of each is the first one, told again
        with pytest.raises(QuotaExceeded, match="Daily token limit exceeded") as caught:
            await process.ask(user, large)
        assert (caught.value.limit, caught.value.used, caught.value.kind) == (1000, 10, "daily_tokens")
        assert str(caught.value.action).startswith("This request may use 2016 tokens, more than the whole limit")
    for process in (a, b):
        process.settle(await process.ask(user, Ask(100, 300, 1, Price(input=1, output=1))))


async def test_a_refusal_for_one_customer_refuses_nothing_for_another(house: House) -> None:
    a, _ = await house.start("a"), await house.start("b")
    await house.budget(CENTS_2)
    user = somebody(monthly_spend_nano=DOLLAR)
    a.settle(await a.ask(user, fixed()))
    for _ in range(2):
        with pytest.raises(QuotaExceeded, match="for customer acme"):
            await a.ask(user, fixed())
    assert (await a.ask(user, fixed(20 * CENTS_2), customer="other")).grant.nano == 20 * CENTS_2


async def test_places_at_the_same_time_are_shared(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(concurrent_requests=3)
    holds = [(process, await process.ask(user, fixed())) for process in (a, b, a)]
    for process in (a, b):
        with pytest.raises(TooManyConcurrent) as caught:
            await process.ask(user, fixed())
        assert (caught.value.limit, caught.value.used) == (3, 3)
    for process, hold in holds:
        process.settle(hold)
        process.clock.move(1)
    assert [await b.ask(user, fixed()) for _ in range(3)]


async def test_without_a_shared_count_each_process_takes_its_part_of_a_rate(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(requests_per_minute=10)
    for process in (a, b):
        for _ in range(5):
            process.settle(await process.ask(user, fixed()))
        with pytest.raises(RateLimited):
            await process.ask(user, fixed())


async def test_a_process_that_was_killed_gives_its_leases_back_when_it_starts_again_on_its_disk(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(monthly_spend_nano=DOLLAR)
    settled, held = await a.ask(user, fixed()), await a.ask(user, fixed())
    a.settle(settled)
    left = house.kill(a)
    assert held.id in {record.id for record in left if isinstance(record, HoldRecord)}
    again = await house.start("a", left)
    await house.beat()
    assert await house.spent(user) == 2 * CENTS_2  # the lost hold is charged what it likely cost
    passed = 0
    while hold := await (again, b)[passed % 2].try_to(user, fixed()):
        (again, b)[passed % 2].settle(hold)
        passed += 1
    assert passed == 48


async def test_a_process_that_is_lost_with_its_disk_is_charged_what_it_said_and_the_rest_is_free(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(monthly_spend_nano=DOLLAR, daily_tokens=100_000)
    a.settle(await a.ask(user, fixed()))
    await a.ask(user, fixed())
    await house.beat()
    left = house.kill(a)
    await house.move(899)
    assert await house.spent(user) == 0
    await house.move(2)
    await house.move(2)
    assert await house.spent(user) == 2 * CENTS_2
    (lost,) = await b.stores.ledger.rows(user_id=user.id, limit=10)
    assert (lost.outcome, lost.certainty, lost.error) == (Outcome.LOST, Certainty.UNKNOWN, "disk_lost")
    assert lost.input_tokens == 20
    passed = 0
    while hold := await b.try_to(user, fixed()):
        b.settle(hold)
        passed += 1
    assert passed == 48

    await house.start("a", left)  # the disk was found
    await house.flush()
    day = await b.stores.ledger.windows([(f"user:{user.id}", "d", int(b.clock.now()) // 86_400)])
    rows = await b.stores.ledger.rows(user_id=user.id, limit=100)
    assert await house.spent(user) == sum(row.cost_nano for row in rows) == DOLLAR
    assert sum(row.cost_nano for row in rows if row.outcome in {Outcome.LOST, Outcome.FOUND}) == CENTS_2  # the hold
    assert day == [Totals(50, 50 * 10, DOLLAR)]


async def test_a_living_process_that_seemed_lost_begins_anew_and_nothing_is_counted_twice(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody(monthly_spend_nano=DOLLAR)
    a.settle(await a.ask(user, fixed()))
    held = await a.ask(user, fixed())
    await house.beat()
    del house.alive["a"]  # cut off from the database
    await house.move(901)
    await house.move(1)
    assert await house.spent(user) == 2 * CENTS_2
    a.clock.move(902)
    with pytest.raises(StorageUnavailable):
        await a.ask(user, fixed())
    house.alive["a"] = a
    await house.beat()
    a.settle(held)
    await house.flush()
    assert await house.spent(user) == 2 * CENTS_2
    passed = 0
    while hold := await (a, b)[passed % 2].try_to(user, fixed()):
        (a, b)[passed % 2].settle(hold)
        passed += 1
    await house.flush()
    assert (passed, await house.spent(user)) == (48, DOLLAR)


async def test_a_limit_that_comes_while_requests_run_covers_them(house: House) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    free = somebody()
    running = await a.ask(free, fixed())
    a.settle(await a.ask(free, fixed()))  # in the journal, not yet in the database
    capped = somebody(monthly_spend_nano=3 * CENTS_2)
    third = await a.ask(capped, fixed())
    assert await a.try_to(capped, fixed()) is None
    a.settle(running)
    a.settle(third)
    await house.flush()
    assert await b.try_to(capped, fixed()) is None
    assert await house.spent(capped) == 3 * CENTS_2


async def test_a_day_that_ends_begins_new_leases_and_late_rows_go_to_their_own_day(house: House) -> None:
    start = 1_769_903_990.0  # 2026-01-31T23:59:50Z
    clocks = HandClock(start), HandClock(start - 30)
    a, b = await house.start("a", clock=clocks[0]), await house.start("b", clock=clocks[1])
    await house.beat()
    user = somebody(monthly_spend_nano=DOLLAR, daily_requests=2)
    old = await a.ask(user, fixed())
    await house.move(15)  # February for a; b's clock is 30 s behind
    new = [await a.ask(user, fixed()), await a.ask(user, fixed())]
    late = await b.ask(user, fixed())
    assert await a.try_to(user, fixed()) is None
    assert await b.try_to(user, fixed()) is None
    for process, hold in ((a, old), (a, new[0]), (a, new[1]), (b, late)):
        process.settle(hold)
    await house.flush()
    assert await house.spent(user, start) == 2 * CENTS_2
    assert await house.spent(user, start + 60) == 2 * CENTS_2


async def test_a_budget_of_a_customer_is_shared_lifted_and_set_again_with_all_that_was_used_meanwhile(
    house: House,
) -> None:
    a, b = await house.start("a"), await house.start("b")
    await house.beat()
    user = somebody()
    for process in (a, b, a):
        process.settle(await process.ask(user, fixed()))  # none of them is in the database yet
    running = await b.ask(user, fixed())
    await a.posting.flush()
    await house.budget(10 * CENTS_2)
    passed = 0
    while hold := await (a, b)[passed % 2].try_to(user, fixed()):
        (a, b)[passed % 2].settle(hold)
        passed += 1
    assert passed == 6  # each process leases what it has used and not posted, and what it holds
    await house.flush()
    b.settle(running)
    await house.flush()
    assert await house.spent(user) == (4 + passed) * CENTS_2
    await house.budget(None)
    for process in (a, b, a, b):
        process.settle(await process.ask(user, fixed()))
    spent = 8 + passed
    await house.move(1)  # a refusal holds for a moment
    await house.budget((spent + 5) * CENTS_2)
    again = 0
    while hold := await (a, b)[again % 2].try_to(user, fixed()):
        (a, b)[again % 2].settle(hold)
        again += 1
    await house.flush()
    assert (again, await house.spent(user)) == (5, (spent + 5) * CENTS_2)
