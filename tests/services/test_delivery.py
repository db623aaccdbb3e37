"""The outbox: at least once, in time, bounded, whatever receivers and the database do."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dominion.domain.alerts import Notice
from dominion.domain.errors import NetworkFailure, StorageUnavailable
from dominion.rules.alerts import MOST_TRIES
from dominion.services.notices.delivery import KEEP_DAYS, LOOK, TAKEN, Deliveries, Draft, LogLines, Notices
from dominion.stores.memory.accounts import MemoryLedger, MemoryPeople, nothing
from dominion.stores.memory.alerts import MemoryAlerts
from dominion.stores.memory.allowances import MemoryBudgets
from tests.services.clocks import HandClock


class Receiver:
    """A channel whose plays are what becomes of each try: None it takes it, an exception it fails with."""

    def __init__(self, name: str = "webhook", most: int = 1) -> None:
        self.name = name
        self.most = most
        self.plays: list[BaseException] = []
        self.got: list[list[str]] = []
        self.arrived = asyncio.Event()

    async def deliver(self, notices: Sequence[Notice]) -> None:
        self.got.append([one.text for one in notices])
        self.arrived.set()
        if self.plays:
            raise self.plays.pop(0)


class Stuck(Receiver):
    """Never answers."""

    async def deliver(self, notices: Sequence[Notice]) -> None:
        await super().deliver(notices)
        await asyncio.Event().wait()


class Post:
    """An outbox with its channels."""

    def __init__(self, *channels: Receiver, before: Callable[[], None] = nothing) -> None:
        self.clock = HandClock()
        self.store = MemoryAlerts(MemoryPeople(), MemoryBudgets(), MemoryLedger(), before)
        self.channels = channels
        count = itertools.count(1)
        self.notices = Notices(self.store, self.clock, [one.name for one in channels], lambda: str(next(count)))
        self.deliveries = Deliveries(self.store, self.notices, channels, self.clock)

    async def send(self, text: str, once: str = "") -> str | None:
        return await self.notices.send("test", text, {"a": 1}, once=once)

    async def work(self, channel: Receiver) -> float:
        """Work off all that is due; seconds until something may be."""
        while not (wait := await self.deliveries.work_off(channel)):
            continue
        return wait

    async def states(self) -> list[tuple[Any, ...]]:
        return [
            (one.text, each.channel, each.tries, each.next_at is None, each.delivered_at is not None, each.error)
            for one, deliveries in await self.store.recent(99)
            for each in deliveries
        ]


async def test_a_notice_is_delivered_once_to_each_channel() -> None:
    receiver, other = Receiver(), Receiver("email", 50)
    post = Post(receiver, other)
    assert await post.work(receiver) == LOOK
    assert await post.send("one") == "ntc_1"
    assert await post.send("two") == "ntc_2"
    for channel in post.channels:
        assert await post.work(channel) == LOOK
        assert await post.work(channel) == LOOK
    assert (receiver.got, other.got) == ([["one"], ["two"]], [["one", "two"]])
    assert {(tried, ended, there) for _, _, tried, ended, there, _ in await post.states()} == {(1, True, True)}


async def test_what_may_be_said_once_has_the_same_id_for_ever_and_is_sent_once() -> None:
    receiver = Receiver()
    post = Post(receiver)
    first = await post.send("one", once="a")
    assert first is not None
    assert len(first) == len("ntc_") + 32
    assert await post.send("again", once="a") is None
    assert await post.notices.send("other", "another kind", {}, once="a") not in (None, first)
    drafts = [Draft("test", name, {}, name) for name in "aab"]
    assert [one.text for one in await post.notices.send_all(drafts)] == ["b"]
    await post.work(receiver)
    assert sorted(each[0] for each in receiver.got) == ["another kind", "b", "one"]


async def test_whoever_fails_is_tried_again_after_longer_and_longer_pauses() -> None:
    receiver = Receiver()
    receiver.plays = [NetworkFailure("no way"), ValueError("a defect"), TimeoutError()]
    post = Post(receiver)
    await post.send("one")
    for pause in (1, 2, 4):
        assert await post.work(receiver) == pause
        assert await post.work(receiver) == pause
        post.clock.move(pause)
    assert [each[2:] for each in await post.states()] == [(3, False, False, "It took too long.")]
    await post.work(receiver)
    assert [each[2:] for each in await post.states()] == [(4, True, True, "")]
    assert receiver.got == [["one"]] * 4


async def test_after_two_days_it_is_given_up_and_says_why() -> None:
    receiver = Receiver()
    receiver.plays = [OSError("closed")] * (MOST_TRIES + 5)
    post = Post(receiver)
    await post.send("one")
    for _ in range(MOST_TRIES + 5):
        await post.work(receiver)
        post.clock.move(3600)
    assert [each[2:] for each in await post.states()] == [(MOST_TRIES, True, False, "OSError: closed")]
    assert len(receiver.got) == MOST_TRIES


async def test_a_notice_that_its_receiver_refuses_holds_up_no_other() -> None:
    receiver = Receiver()
    receiver.plays = [OSError("not this one")]
    post = Post(receiver)
    await post.send("one")
    await post.send("two")
    await post.work(receiver)
    assert receiver.got == [["one"], ["two"]]


async def test_what_a_process_took_that_is_no_more_is_due_again() -> None:
    receiver, after = Stuck(), Receiver()
    post = Post(receiver)
    await post.send("one")
    killed = asyncio.create_task(post.deliveries.work_off(receiver))
    await receiver.arrived.wait()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    assert await post.deliveries.work_off(after) == LOOK
    post.clock.move(TAKEN)
    assert await post.work(after) == LOOK
    assert after.got == [["one"]]


async def test_a_receiver_that_is_stuck_holds_up_no_other_channel() -> None:
    stuck, receiver = Stuck("webhook"), Receiver("email")
    post = Post(stuck, receiver)
    await post.send("one")
    post.deliveries.start()
    await asyncio.wait_for(stuck.arrived.wait(), 5)
    await asyncio.wait_for(receiver.arrived.wait(), 5)
    receiver.arrived.clear()
    await post.send("two")  # an idle outbox is woken, and does not wait for its next look
    await asyncio.wait_for(receiver.arrived.wait(), LOOK / 2)
    await post.deliveries.close()
    assert (stuck.got, receiver.got) == ([["one"]], [["one"], ["two"]])


async def test_a_database_that_is_away_delays_and_loses_nothing() -> None:
    away = False

    def before() -> None:
        if away:
            raise StorageUnavailable("away")

    receiver = Receiver()
    post = Post(receiver, before=before)
    await post.send("one")
    away = True
    with pytest.raises(StorageUnavailable):
        await post.deliveries.work_off(receiver)
    with pytest.raises(StorageUnavailable):
        await post.send("two")
    away = False
    await post.work(receiver)
    assert receiver.got == [["one"]]


async def test_notices_are_forgotten_after_a_year() -> None:
    receiver = Receiver()
    post = Post(receiver)
    await post.send("one", once="a")
    await post.work(receiver)
    post.clock.move((KEEP_DAYS + 1) * 86_400)
    await post.work(receiver)
    assert await post.states() == []


async def test_the_log_has_a_line_for_each(caplog: pytest.LogCaptureFixture) -> None:
    await LogLines().deliver([Notice("ntc_1", "test", 0, "Something happened.", {})])
    assert [record.getMessage() for record in caplog.records] == ["Something happened. (test ntc_1)"]
