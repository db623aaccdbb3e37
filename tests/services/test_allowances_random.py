"""Whatever processes do, and whenever they die: no limit is passed, nothing is counted twice, nothing strands."""

import asyncio
import os
import random
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dominion.domain.allowances import Amount
from dominion.domain.errors import LimitExceeded
from dominion.domain.records import JournalRecord, Outcome, UsageRow
from dominion.domain.usage import Price
from dominion.rules.limits.verdict import Ask
from dominion.rules.windows import day_of, month_of
from dominion.services.limits.admission import Hold
from tests.services.leasing import House, Process, fixed, in_database, in_memory, somebody

LIMIT = 1_000
USER = somebody(monthly_spend_nano=LIMIT, daily_tokens=5_000, daily_requests=60, concurrent_requests=7)
NAMES = st.sampled_from("abc")


class Leasing(RuleBasedStateMachine):
    """Three processes over the ledger in memory; each may die with or without its disk, at any point."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.context = in_memory()
        self.house = self.runner.run(self.context.__aenter__())
        self.dead: dict[str, list[JournalRecord]] = {}
        self.held: list[tuple[Process, Hold]] = []
        self.resolved: set[str] = set()
        for name in "abc":
            self.runner.run(self.house.start(name))

    def teardown(self) -> None:
        for process, hold in self.held:
            process.settle(hold)
        self.runner.run(self.context.__aexit__(None, None, None))
        self.runner.close()

    @rule(name=NAMES, nano=st.integers(1, 300), cap=st.integers(0, 400))
    def ask(self, name: str, nano: int, cap: int) -> None:
        process = self.house.alive.get(name)
        if process is None:
            return
        price = Price(input=0, output=1_000, request=nano)
        try:
            hold = self.runner.run(process.ask(USER, Ask(10, cap, 1, price)))
        except LimitExceeded:
            return
        self.held.append((process, hold))
        standing = hold.standing
        assert standing.month.spend + standing.month.held_spend <= LIMIT
        assert standing.running <= 7

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 100), percent=st.integers(0, 100), failed=st.booleans())
    def settle(self, which: int, percent: int, *, failed: bool) -> None:
        process, hold = self.held.pop(which % len(self.held))
        assert hold.id not in self.resolved
        self.resolved.add(hold.id)
        outcome = Outcome.FAILED if failed else Outcome.OK
        process.settle(hold, nano=0 if failed else hold.grant.nano * percent // 100, outcome=outcome)

    @rule(name=NAMES)
    def flush(self, name: str) -> None:
        if name in self.house.alive:
            self.runner.run(self.house.alive[name].posting.flush())

    @rule()
    def beat(self) -> None:
        self.runner.run(self.house.move(1))

    @rule(name=NAMES)
    def die(self, name: str) -> None:
        if name in self.house.alive and len(self.house.alive) > 1:
            process = self.house.alive[name]
            self.dead[name] = self.house.kill(process)
            self.held = [(one, hold) for one, hold in self.held if one is not process]

    @rule(name=NAMES)
    def start_again(self, name: str) -> None:
        if name in self.dead:
            clock = next(iter(self.house.alive.values())).clock
            self.runner.run(self.house.start(name, self.dead.pop(name), type(clock)(clock.at)))

    @invariant()
    def the_database_never_promises_more_than_a_limit(self) -> None:
        (process, *_) = self.house.alive.values()
        day = day_of(process.clock.now())
        leases = self.house.tables.leases
        keys = [(f"user:{USER.id}", kind, number) for kind, number in (("d", day), ("m", month_of(day)), ("c", 0))]
        settled = self.runner.run(process.stores.ledger.windows(keys))
        limits = Amount(60, 5_000, 1 << 62), Amount(1 << 62, 1 << 62, LIMIT), Amount(7, 1 << 62, 1 << 62)
        for key, totals, limit in zip(keys, settled, limits, strict=True):
            out = Amount(totals.requests, totals.tokens, totals.spend_nano)
            for (_, window), lease in leases.items():
                if window == key:
                    out += lease.out.atleast(Amount())
            assert limit.covers(out)

    @invariant()
    def sums_are_what_the_rows_add_up_to(self) -> None:
        (process, *_) = self.house.alive.values()
        rows: list[UsageRow] = self.runner.run(process.stores.ledger.rows(user_id=None, limit=10_000))
        charged = [row for row in rows if row.outcome != Outcome.FAILED]
        assert self.runner.run(self.house.spent(USER)) == sum(row.cost_nano for row in charged)

    @invariant()
    def nothing_held_is_below_zero(self) -> None:
        for process in self.house.alive.values():
            standing = process.admission.known(USER.id)
            if standing is not None:
                windows = (standing.day, standing.month)
                assert min(standing.running, *(window.held_spend for window in windows)) >= 0
                assert min(standing.day.held_requests, standing.day.held_tokens) >= 0


TestLeasing = Leasing.TestCase
TestLeasing.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
@pytest.mark.parametrize("seed", range(int(os.environ.get("DOMINION_TEST_RUNS", "3"))))
async def test_processes_that_die_at_random_points_leave_a_budget_that_is_used_up_to_the_last_hold(
    kind: str, seed: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(seed)
    made: AbstractAsyncContextManager[House] = in_memory()
    if kind != "memory":
        made = in_database(tmp_path / "gateway.db" if kind == "sqlite" else request.getfixturevalue("postgres_url"))
    cost, holds = 20, 40 + seed
    user = somebody(monthly_spend_nano=cost * holds)
    async with made as house:
        names = "abcd"[: 2 + seed % 3]
        for name in names:
            await house.start(name)
        settled = lost = 0
        for _ in range(12):
            batch = [(process, process.try_to(user, fixed(cost))) for process in house.alive.values() for _ in range(3)]
            found = await asyncio.gather(*(work for _, work in batch))
            running = [(process, hold) for (process, _), hold in zip(batch, found, strict=True) if hold is not None]
            chance.shuffle(running)
            victim = chance.choice(list(house.alive.values())) if chance.random() < 0.5 else None
            for process, hold in running:
                if process is not victim or chance.random() < 0.5:
                    process.settle(hold)
                    settled += 1
                else:
                    lost += 1
            if victim is not None:
                if chance.random() < 0.5:
                    await victim.posting.flush()
                await house.start(victim.name, house.kill(victim))
            if chance.random() < 0.5:
                await house.move(1)
        while last := await (process := chance.choice(list(house.alive.values()))).try_to(user, fixed(cost)):
            process.settle(last)
            settled += 1
        await house.flush()
        rows = await next(iter(house.alive.values())).stores.ledger.rows(user_id=user.id, limit=1000)
        assert len({row.id for row in rows}) == len(rows) == settled + lost
        assert sum(row.outcome == Outcome.LOST for row in rows) == lost
        assert settled + lost == holds
