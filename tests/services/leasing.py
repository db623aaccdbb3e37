"""Processes that share a database, as objects in one event loop: each with its own journal, posting and leases.

Time moves only by hand. Whoever waits for others lets them answer first, so that no test sleeps.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from dominion.domain.allowances import ScopeLimits, WindowKey
from dominion.domain.errors import LimitExceeded
from dominion.domain.people import Limits, User
from dominion.domain.records import JournalRecord, Outcome
from dominion.domain.stores import AllowanceStore, BudgetStore, LedgerStore
from dominion.domain.usage import Price
from dominion.rules.limits.verdict import Ask
from dominion.rules.windows import day_of, month_of
from dominion.services.limits.admission import Admission, Hold
from dominion.services.limits.allowances import Allowances
from dominion.services.limits.posting import Posting
from dominion.services.limits.scopes import Scopes
from dominion.stores.memory.accounts import MemoryJournal, MemoryLedger, Tables
from dominion.stores.memory.allowances import MemoryAllowances, MemoryBudgets
from dominion.stores.sql.allowances import SqlAllowances
from dominion.stores.sql.budgets import SqlBudgets
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from tests.services.clocks import HandClock
from tests.services.rows import HOLD, ROW

ACME = "customer:acme"
CENTS_2 = 20_000_000
"""Nano-dollars."""


def fixed(nano: int = CENTS_2) -> Ask:
    """A request that costs the same however long its answer is, so that its cap cannot be lowered."""
    return Ask(input_bound=10, output_cap=0, choices=1, price=Price(input=0, output=0, request=nano))


def somebody(**limits: int) -> User:
    """A user with these limits."""
    return User("usr_1", "A", None, "active", Limits(**limits), 0)


class Stores(NamedTuple):
    """What one process sees of the database."""

    ledger: LedgerStore
    allowances: AllowanceStore
    budgets: BudgetStore


class Process:
    """One of several; `earlier` is what the journal holds that it finds."""

    def __init__(self, name: str, house: "House", earlier: list[JournalRecord], clock: HandClock) -> None:
        self.name = name
        self.clock = clock
        self.house = house
        self.journal = MemoryJournal(earlier)
        self.stores = house.stores_of(name)
        self.posting = Posting(self.journal, self.stores.ledger)
        self.allowances = Allowances(self.stores.allowances, name, self.posting, clock, house.others_answer)
        self.admission = Admission(self.stores.ledger, self.posting, clock, 60.0, self.allowances)
        self.scopes = Scopes(self.stores.budgets, self.stores.ledger, self.posting, self.admission, self.allowances)

    async def ask(self, user: User, ask: Ask, customer: str = "acme") -> Hold:
        """Admit a request of a customer. Raises LimitExceeded, StorageUnavailable."""
        standing = await self.admission.standing(user)
        record = replace(
            HOLD,
            id=f"req_{next(self.house.numbers)}",
            at=int(self.clock.now() * 1000),
            user_id=user.id,
            output_cap=ask.output_cap * ask.choices,
            likely_nano=ask.price.request if ask.price is not None else 0,
            customer=customer,
        )
        scope = f"customer:{customer}"
        others = [await self.scopes.standing(scope)] if scope in self.scopes.limits else []
        return await self.allowances.admit(
            standing, user.limits, lambda: self.admission.hold(standing, ask, record, others)
        )

    async def try_to(self, user: User, ask: Ask) -> Hold | None:
        """The same; None: refused."""
        try:
            return await self.ask(user, ask)
        except LimitExceeded:
            return None

    def settle(self, hold: Hold, *, nano: int | None = None, outcome: Outcome = Outcome.OK) -> None:
        """End a request; by default it has used all that was set aside."""
        row = replace(
            ROW,
            id=hold.id,
            at=hold.at,
            user_id=hold.record.user_id,
            input_tokens=hold.grant.tokens,
            output_tokens=0,
            cost_nano=hold.grant.nano if nano is None else nano,
            outcome=int(outcome),
            customer=hold.record.customer,
        )
        self.admission.settle(hold, row)


class House:
    """All processes and what is true of them together."""

    def __init__(self, stores_of: Callable[[str], Stores], tables: Tables | None = None) -> None:
        self.stores_of = stores_of
        self.tables = tables or Tables()
        self.numbers = itertools.count(1)
        self.alive: dict[str, Process] = {}

    async def start(
        self, name: str, earlier: list[JournalRecord] | None = None, clock: HandClock | None = None
    ) -> Process:
        """Begin a life: replay, join."""
        process = Process(name, self, earlier or [], clock or HandClock())
        await process.posting.recover()
        await process.allowances.join()
        self.alive[name] = process
        await self.beat()
        return process

    def kill(self, process: Process) -> list[JournalRecord]:
        """It is gone; its journal, which nobody else reads."""
        left = process.journal.left
        del self.alive[process.name]
        return left

    async def beat(self) -> None:
        """Every process reports."""
        for process in list(self.alive.values()):
            await process.allowances.beat()

    async def others_answer(self, _seconds: float) -> None:
        """Stands for a pause: meanwhile everybody looks for what is recalled."""
        for process in list(self.alive.values()):
            await process.allowances.listen()
        await asyncio.sleep(0)

    async def move(self, seconds: float) -> None:
        """Time passes for all, with a report at its end."""
        for process in self.alive.values():
            process.clock.move(seconds)
        await self.beat()

    async def budget(self, nano: int | None) -> None:
        """Cap what "acme" may spend in a month, or lift that; every process hears of it."""
        (process, *_) = self.alive.values()
        budgets = process.stores.budgets
        if nano is None:
            await budgets.remove_budget(ACME)
        else:
            await budgets.put_budget(ACME, ScopeLimits(monthly_spend_nano=nano), int(process.clock.now()))
        for one in self.alive.values():
            await one.scopes.load()

    async def flush(self) -> None:
        """All rows are in the database."""
        for process in self.alive.values():
            await process.posting.flush()

    async def spent(self, user: User, at: float | None = None) -> int:
        """Nano-dollars that the database knows of this month."""
        (process, *_) = self.alive.values()
        day = day_of(process.clock.now() if at is None else at)
        _, month = await process.stores.ledger.totals(user.id, day, month_of(day))
        return month.spend_nano

    async def close(self) -> None:
        """The end of the test."""
        for process in list(self.alive.values()):
            await process.allowances.close()
            await process.posting.close()


def month_key(user: User, clock: HandClock) -> WindowKey:
    """The window of a user's money."""
    return (f"user:{user.id}", "m", month_of(day_of(clock.now())))


@asynccontextmanager
async def in_memory() -> AsyncIterator[House]:
    """Processes that share dictionaries."""
    tables = Tables()
    shared, budgets = MemoryAllowances(MemoryLedger(tables=tables)), MemoryBudgets()
    house = House(lambda name: Stores(MemoryLedger(tables=tables, process_id=name), shared, budgets), tables)
    try:
        yield house
    finally:
        await house.close()


@asynccontextmanager
async def in_database(target: Path | str) -> AsyncIterator[House]:
    """Processes that share a real database, each with connections of its own."""
    opened: list[Database] = []

    def stores_of(name: str) -> Stores:
        opened.append(Database.open(target))
        ledger = SqlLedger(opened[-1], name)
        return Stores(ledger, SqlAllowances(opened[-1], ledger), SqlBudgets(opened[-1]))

    house = House(stores_of)
    try:
        yield house
    finally:
        await house.close()
        for database in opened:
            await database.close()
