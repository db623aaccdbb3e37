"""Who is told of which limits and failures, when, and how often."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from dominion.domain.allowances import ScopeLimits
from dominion.domain.errors import ProviderRefused, ProviderUnavailable, StorageUnavailable
from dominion.domain.people import Limits, User
from dominion.domain.records import UsageRow
from dominion.services.completions.router import Listeners, RouterRules
from dominion.services.limits.posting import Posting
from dominion.services.notices import alerts as module
from dominion.services.notices.alerts import Alerts
from dominion.services.notices.delivery import Notices
from dominion.stores.memory.accounts import MemoryJournal, MemoryLedger, MemoryPeople, nothing
from dominion.stores.memory.alerts import MemoryAlerts
from dominion.stores.memory.allowances import MemoryBudgets
from tests.services.clocks import HandClock
from tests.services.house import House
from tests.stores.samples import row

DOLLAR = 10**9
DAY = 86_400


class Watch:
    """Alerts over stores in memory; `told` is what came into the outbox. Each call of `again` is another process."""

    def __init__(self, thresholds: tuple[int, ...] = (50, 80, 100), before: Callable[[], None] = nothing) -> None:
        self.clock = HandClock()
        self.people, self.budgets, self.ledger = MemoryPeople(), MemoryBudgets(), MemoryLedger()
        self.store = MemoryAlerts(self.people, self.budgets, self.ledger, before)
        self.posting = Posting(MemoryJournal(), self.ledger)
        self._thresholds = thresholds
        self._count = itertools.count(1)
        self.alerts = self.again()
        self.posting.listen(self.alerts.posted)

    def again(self) -> Alerts:
        notices = Notices(self.store, self.clock, ["log"], lambda: str(next(self._count)))
        return Alerts(self.store, notices, self.clock, self._thresholds)

    async def user(self, **limits: int) -> None:
        await self.people.add_user(User("usr_1", "A", None, "active", Limits(**limits), 0))

    async def budget(self, scope: str, **limits: Any) -> None:
        await self.budgets.put_budget(scope, ScopeLimits(**limits), int(self.clock.now()))

    def row(self, **changes: Any) -> UsageRow:
        number = next(self._count)
        return row(number, at=int(self.clock.now() * 1000), outcome=0, **changes)

    async def spend(self, dollars: int, **changes: Any) -> None:
        """One request that costs so much comes into the database, and the limits are looked at."""
        self.posting.settle(self.row(cost_nano=dollars * DOLLAR, **changes), 0)
        await self.posting.flush()
        await self.alerts.look()

    async def told(self) -> list[str]:
        """What was told since the beginning, the oldest first, in short."""
        found = [one.data for one, _ in await self.store.recent(99) if one.kind == "limit"]
        return sorted(f"{each['scope']} {each['limit']} {each['percent']} {each['window']}" for each in found)


@pytest.fixture
async def watch() -> Watch:
    made = Watch()
    await made.alerts.look()  # as at a start: at all limits
    return made


@pytest.mark.promise("002-045", "003-139")
async def test_each_threshold_is_told_once_in_its_window(watch: Watch) -> None:
    await watch.budget("provider:openai", monthly_spend_nano=100 * DOLLAR, alerts=(80, 100))
    await watch.spend(79)
    assert await watch.told() == []
    await watch.spend(1)
    assert await watch.told() == ["provider:openai monthly_spend_cap_usd 80 2026-01"]
    for _ in range(3):
        await watch.spend(1)
    assert len(await watch.told()) == 1
    await watch.spend(50)
    assert [each.split()[2] for each in await watch.told()] == ["100", "80"]
    watch.clock.move(31 * DAY)
    await watch.spend(90)
    assert (await watch.told())[2:] == ["provider:openai monthly_spend_cap_usd 80 2026-02"]


async def test_every_scope_of_a_request_is_looked_at_with_its_own_thresholds(watch: Watch) -> None:
    await watch.user(monthly_spend_nano=10 * DOLLAR, daily_requests=1)
    await watch.budget("key:k1", daily_requests=2, alerts=(50,))
    await watch.budget("customer:acme", daily_spend_nano=5 * DOLLAR, alerts=(90,))
    await watch.budget("run:r1", hard_run_tokens=153, alerts=(100,))
    await watch.budget("customer:other", daily_requests=1)
    await watch.budget("provider:openai", daily_requests=1, alerts=())
    await watch.spend(5, customer="acme", run="r1")
    assert await watch.told() == [
        "customer:acme daily_spend_cap_usd 90 2026-01-05",
        "key:k1 daily_requests 50 2026-01-05",
        "run:r1 hard_run_tokens 100 run",
        "user:usr_1 monthly_spend_cap_usd 50 2026-01",
    ]


async def test_no_thresholds_no_alerts_of_users() -> None:
    watch = Watch(())
    await watch.user(monthly_spend_nano=DOLLAR)
    await watch.spend(2)
    assert await watch.told() == []


async def test_a_limit_that_is_changed_is_a_limit_of_its_own(watch: Watch) -> None:
    await watch.budget("provider:openai", monthly_spend_nano=100 * DOLLAR, alerts=(80,))
    await watch.spend(85)
    await watch.budget("provider:openai", monthly_spend_nano=200 * DOLLAR, alerts=(80,))
    await watch.spend(1)
    assert len(await watch.told()) == 1
    await watch.spend(80)
    assert len(await watch.told()) == 2
    await watch.budget("provider:openai", monthly_spend_nano=100 * DOLLAR, alerts=(80,))
    await watch.spend(1)
    assert len(await watch.told()) == 2


async def test_a_restart_tells_what_its_predecessor_could_not_and_nothing_twice(watch: Watch) -> None:
    await watch.budget("provider:openai", daily_requests=1, alerts=(100,))
    await watch.ledger.add([watch.row()])  # posted, and then the process was killed
    assert await watch.told() == []
    for _ in range(2):
        await watch.again().look()
        assert await watch.told() == ["provider:openai daily_requests 100 2026-01-05"]


async def test_limits_that_nobody_touches_are_looked_at_from_time_to_time(watch: Watch) -> None:
    await watch.user(monthly_spend_nano=10 * DOLLAR)
    await watch.spend(5)
    await watch.budget("provider:openai", daily_requests=1, alerts=(100,))
    await watch.people.set_limits("usr_1", Limits(monthly_spend_nano=5 * DOLLAR))
    told = ["user:usr_1 monthly_spend_cap_usd 50 2026-01"]
    await watch.alerts.look()
    assert await watch.told() == told
    watch.alerts.look_at_all(users=False)
    await watch.alerts.look()
    assert await watch.told() == ["provider:openai daily_requests 100 2026-01-05", *told]
    watch.alerts.look_at_all(users=True)
    await watch.alerts.look()
    assert [each.split()[2] for each in (await watch.told())[1:]] == ["100", "50", "50", "80"]


async def test_rows_of_yesterday_that_came_late_are_not_forgotten(watch: Watch) -> None:
    await watch.budget("provider:openai", daily_requests=1, alerts=(100,))
    late = watch.row()
    watch.clock.move(DAY)
    await watch.ledger.add([late])
    await watch.again().look()
    assert await watch.told() == ["provider:openai daily_requests 100 2026-01-05"]
    later = replace(late, id="later", provider="other")
    await watch.budget("provider:other", daily_requests=1, alerts=(100,))
    watch.posting.settle(later, 0)
    await watch.posting.flush()
    await watch.alerts.look()
    assert "provider:other daily_requests 100 2026-01-05" in await watch.told()


async def test_of_two_processes_one_tells(watch: Watch) -> None:
    await watch.budget("provider:openai", daily_requests=1, alerts=(100,))
    await watch.ledger.add([watch.row()])
    both = [watch.again(), watch.again()]
    await asyncio.gather(*[one.look() for one in both])
    assert len(await watch.told()) == 1


@pytest.mark.parametrize("fails_at", range(1, 6))
async def test_a_database_that_is_away_delays_and_loses_nothing(fails_at: int) -> None:
    calls = itertools.count(1)
    on = False

    def before() -> None:
        if on and next(calls) == fails_at:
            raise StorageUnavailable("away")

    watch = Watch(before=before)
    await watch.alerts.look()
    await watch.budget("provider:openai", daily_requests=1, alerts=(100,))
    watch.posting.settle(watch.row(over_hold=True), 0)
    await watch.posting.flush()
    on = True
    for _ in range(2):
        try:
            await watch.alerts.look()
        except StorageUnavailable:
            continue
    on = False
    assert sorted(one.kind for one, _ in await watch.store.recent(9)) == ["limit", "over_hold"]


async def test_an_answer_that_exceeded_its_hold_is_told_once_an_hour_for_each_model(watch: Watch) -> None:
    for model in ("gpt-4o", "gpt-4o", "other"):
        await watch.spend(1, over_hold=True, model=model)
    told = [one for one, _ in await watch.store.recent(9)]
    assert sorted(one.data["model"] for one in told) == ["gpt-4o", "other"]
    assert all("used more than a request allowed" in one.text for one in told)
    watch.clock.move(3600)
    await watch.spend(1, over_hold=True)
    assert len(await watch.store.recent(9)) == 3


async def test_many_rows_at_once_cost_one_look_at_everything(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOUCHED", 5)
    await watch.budget("provider:openai", daily_requests=1, alerts=(100,))
    rows = [watch.row(user_id=f"usr_{number}") for number in range(9)]
    await watch.ledger.add(rows)
    watch.alerts.posted(rows)
    watch.alerts.posted(rows)
    await watch.alerts.look()
    assert await watch.told() == ["provider:openai daily_requests 100 2026-01-05"]


async def test_the_background_looks_when_rows_come_and_at_its_end() -> None:
    seen = asyncio.Event()
    watch = Watch(before=seen.set)
    await watch.budget("provider:openai", daily_requests=2, alerts=(50, 100))
    watch.alerts.start()
    await asyncio.wait_for(seen.wait(), 5)
    seen.clear()
    watch.posting.settle(watch.row(), 0)
    await watch.posting.flush()
    await asyncio.wait_for(seen.wait(), 5)
    watch.posting.settle(watch.row(), 0)
    await watch.posting.flush()
    await watch.alerts.close()
    assert len(await watch.told()) == 2


async def test_the_background_looks_at_all_budgets_even_while_news_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUDGETS", 0.01)
    monkeypatch.setattr(module, "PAUSE", 0.0)
    watch = Watch()
    await watch.alerts.look()
    await watch.ledger.add([watch.row()])
    watch.alerts.start()
    await watch.budget("provider:openai", daily_requests=1, alerts=(100,))
    async with asyncio.timeout(5):
        while not await watch.told():
            watch.alerts.posted([])
            await asyncio.sleep(0)
    await watch.alerts.close()


@pytest.mark.promise("003-175")
async def test_when_nobody_could_answer_the_operator_is_told_once_an_hour() -> None:
    house, watch = House("alpha", "beta", rules=RouterRules(retry_count=0)), Watch()
    told: list[str] = []
    house.router._listeners = Listeners(given_up=watch.alerts.after(lambda error, _: told.append(error.code)))
    for _ in range(3):
        house.play("alpha", ProviderUnavailable("down"))
        house.play("beta", ProviderUnavailable("down"))
        with pytest.raises(ProviderUnavailable):
            await house.ask()
    await watch.alerts.look()
    ((notice, _),) = await watch.store.recent(9)
    assert (notice.kind, notice.data["provider"], notice.data["model"]) == ("providers_failed", "beta", "beta/m")
    assert "No provider could answer" in notice.text
    assert told == ["provider_unavailable"] * 3


async def test_a_wrong_request_is_not_the_operators_affair() -> None:
    house, watch = House("alpha"), Watch()
    house.router._listeners = Listeners(given_up=watch.alerts.given_up)
    house.play("alpha", ProviderRefused("no"))
    with pytest.raises(ProviderRefused):
        await house.ask()
    await watch.alerts.look()
    assert await watch.store.recent(9) == []
