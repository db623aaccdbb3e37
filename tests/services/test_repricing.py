"""The ledger ends up as if the prices of now had held, by rows that correct, never by edits."""

import random
from typing import Any

import pytest
from msgspec.structs import replace

from dominion.domain.errors import InvalidRequest, StorageUnavailable
from dominion.domain.people import Limits, User
from dominion.domain.prices import PriceRow
from dominion.domain.records import Outcome, UsageRow
from dominion.domain.usage import Price, Usage, usd
from dominion.providers.catalog import Catalogue
from dominion.providers.pricebook import PriceBook
from dominion.rules.prices.pricing import charge
from dominion.rules.windows import day_of, month_of
from dominion.services.limits.admission import Admission
from dominion.services.limits.posting import Posting
from dominion.services.prices import repricing
from dominion.services.prices.repricing import DAY_MS, Reprice, Repricing
from dominion.stores.memory.accounts import MemoryJournal, MemoryLedger
from dominion.stores.memory.attempts import MemoryAttempts
from dominion.stores.memory.registry import MemoryAudit
from tests.services.clocks import HandClock
from tests.services.house import House, well
from tests.services.rows import ROW, row

CATALOGUE = Catalogue.load()
USER = User("usr_1", "A", None, "active", Limits(monthly_spend_nano=10**9), 0)
STUB = Price(input=1_000_000, output=2_000_000)
NEW = Price(input=3_000_000, output=5_000_000)
DAY = "2026-01-05"


class Books:
    """A ledger with its book of prices. The ledger fails from its `fails_at`th operation on."""

    def __init__(self) -> None:
        self.fails_at: int | None = None
        self.clock = HandClock()
        self.ledger = MemoryLedger(self._before)
        self.posting = Posting(MemoryJournal(), self.ledger, MemoryAttempts(self.ledger))
        self.admission = Admission(self.ledger, self.posting, self.clock, 60.0)
        self.audit = MemoryAudit(b"a" * 32)
        self.book = PriceBook(CATALOGUE)
        self._run = Repricing(self.ledger, self.posting, self.audit, self.book, self.clock, [self.admission.correct])

    def _before(self) -> None:
        if self.fails_at is not None:
            self.fails_at -= 1
            if self.fails_at < 0:
                raise StorageUnavailable("The gateway's database is not available.")

    def price(self, *prices: Price, valid_from: int = 0) -> None:
        """The operator's rows for everything that the stub sells."""
        self.book.replace(
            PriceRow(provider="stub", model="*", valid_from=valid_from, price=price, number=number)
            for number, price in enumerate(prices)
        )

    async def reprice(self, first: str = DAY, last: str = DAY, *, dry_run: bool = False) -> dict[str, Any]:
        return await self._run.run(Reprice(first=first, last=last, dry_run=dry_run), "req_9")

    async def rows(self) -> list[UsageRow]:
        return await self.ledger.rows(user_id=None, limit=100_000)

    async def spent(self) -> int:
        """By the ledger's own windows, this month."""
        day = day_of(self.clock.now())
        return (await self.ledger.totals("usr_1", day, month_of(day)))[1].spend_nano


@pytest.fixture
def books() -> Books:
    return Books()


def cost(price: Price, one: UsageRow = ROW) -> int:
    return charge(Usage(one.input_tokens, one.output_tokens), price)


async def test_every_sum_follows_and_no_row_is_edited(books: Books) -> None:
    rows = [row(number, at=ROW.at + number) for number in range(10)]
    await books.ledger.add(rows)
    standing = await books.admission.standing(USER)
    books.price(NEW)
    told = await books.reprice()
    delta = cost(NEW) - cost(STUB)
    assert (told["corrections"], told["difference_usd"]) == (10, usd(10 * delta))
    assert told["models"] == [
        {"provider": "stub", "model": "echo", "corrections": 10, "difference_usd": usd(10 * delta)}
    ]
    after = await books.rows()
    assert [each for each in after if each.outcome != Outcome.CORRECTION] == sorted(rows, key=lambda r: -r.at)
    assert await books.spent() == standing.month.spend == 10 * cost(NEW)
    (summed,) = await books.ledger.summary(user_id=None, first_day=0, last_day=10**6)
    assert (summed.requests, summed.input_tokens, summed.cost_nano) == (10, 80, 10 * cost(NEW))


async def test_run_again_it_has_nothing_to_do_and_a_price_that_falls_gives_money_back(books: Books) -> None:
    await books.ledger.add([row(1)])
    for prices in ((NEW,), (NEW, STUB), (NEW, STUB, NEW), (NEW, STUB, NEW, Price(input=0, output=0))):
        books.price(*prices)
        assert (await books.reprice())["corrections"] == 1
        assert (await books.reprice())["corrections"] == 0
        assert await books.spent() == cost(prices[-1])
    assert len(await books.rows()) == 5


async def test_a_dry_run_tells_the_same_and_writes_nothing(books: Books) -> None:
    await books.ledger.add([row(1), row(2)])
    books.price(NEW)
    dry = await books.reprice(dry_run=True)
    assert len(await books.rows()) == 2
    assert await books.audit.entries() == []
    assert dry | {"dry_run": False} == await books.reprice()
    assert [entry.action for entry in await books.audit.entries()] == ["prices.reprice"]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.LOST, Outcome.FOUND], ids=lambda one: one.name)
async def test_rows_that_hold_no_counted_charge_stay(books: Books, outcome: Outcome) -> None:
    await books.ledger.add([row(1, outcome=int(outcome))])
    books.price(NEW)
    assert (await books.reprice())["corrections"] == 0


async def test_a_row_that_a_callers_own_key_paid_stays(books: Books) -> None:
    await books.ledger.add([row(1, cost_nano=0, list_nano=48_000)])
    books.price(NEW)
    assert (await books.reprice())["corrections"] == 0


async def test_rows_whose_price_nobody_knows_stay_and_get_one_when_it_is_known(books: Books) -> None:
    unpriced = row(1, provider="openai", model="gpt-99", cost_nano=0)
    await books.ledger.add([unpriced])
    assert (await books.reprice())["corrections"] == 0
    books.book.replace([PriceRow(provider="openai", model="gpt-99", valid_from=0, price=NEW)])
    assert (await books.reprice())["corrections"] == 1
    assert await books.spent() == cost(NEW)


async def test_only_the_days_of_the_period_and_only_from_the_second_of_a_price_on(books: Books) -> None:
    second = ROW.at // 1000
    times = (ROW.at - 1, ROW.at, ROW.at + 4_999, ROW.at + 5_000, ROW.at + DAY_MS - 1, ROW.at + DAY_MS)
    await books.ledger.add([row(number, at=at) for number, at in enumerate(times)])
    books.price(NEW, valid_from=second + 5)
    assert (await books.reprice())["corrections"] == 2
    assert (await books.reprice("2026-01-06", "2026-01-06"))["corrections"] == 1
    assert sorted(each.id for each in await books.rows() if "~" in each.id) == ["req_3~1", "req_4~1", "req_5~1"]


async def test_one_hour_writes_are_priced_as_such(books: Books) -> None:
    price = Price(input=1_000, output=0, cache_write=1_250, cache_write_1h=2_000)
    usage = Usage(1_000, 0, cache_write_tokens=600, cache_write_1h_tokens=400)
    written = row(
        1, input_tokens=1_000, output_tokens=0, cache_write_tokens=600, cache_write_1h_tokens=400, cost_nano=0
    )
    await books.ledger.add([written])
    books.price(price)
    await books.reprice()
    assert await books.spent() == charge(usage, price) == 400 + 200 * 5 // 4 + 800


@pytest.mark.parametrize("page", [1, 2, 3, 7, 1000])
async def test_every_row_is_corrected_once_however_they_fall_on_pages(
    books: Books, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repricing, "PAGE", page)
    rng = random.Random(page)
    rows = [row(number, at=ROW.at + rng.choice([0, 0, 0, 1, 2, 500])) for number in range(40)]
    await books.ledger.add(rows)
    for prices in ((NEW,), (NEW, STUB)):
        books.price(*prices)
        assert (await books.reprice())["corrections"] == 40
        assert await books.spent() == 40 * cost(prices[-1])


async def test_a_run_that_broke_off_is_finished_by_another(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "PAGE", 4)
    await books.ledger.add([row(number, at=ROW.at + number) for number in range(20)])
    standing = await books.admission.standing(USER)
    books.price(NEW)
    books.fails_at = 4
    with pytest.raises(StorageUnavailable):
        await books.reprice()
    books.fails_at = None
    corrected = await books.spent() - 20 * cost(STUB)
    assert 0 < corrected < 20 * (cost(NEW) - cost(STUB))
    await books.reprice()
    assert await books.spent() == standing.month.spend == 20 * cost(NEW)


async def test_a_correction_of_an_earlier_month_leaves_this_months_budget_alone(books: Books) -> None:
    await books.ledger.add([row(1, at=ROW.at - 10 * DAY_MS)])
    standing = await books.admission.standing(USER)
    books.price(NEW)
    assert (await books.reprice("2025-12-01", "2025-12-31"))["corrections"] == 1
    assert (standing.month.spend, await books.spent()) == (0, 0)


async def test_rows_that_are_only_in_the_journal_are_corrected_too(books: Books) -> None:
    standing = await books.admission.standing(USER)
    books.posting.settle(replace(row(1)), 0)
    standing.month.spend += ROW.cost_nano
    books.price(NEW)
    assert (await books.reprice())["corrections"] == 1
    assert standing.month.spend == cost(NEW)


@pytest.mark.parametrize(("first", "last"), [("2026-01-06", "2026-01-05"), ("yesterday", DAY), (DAY, "2026-02-30")])
async def test_what_is_no_period_is_refused(books: Books, first: str, last: str) -> None:
    with pytest.raises(InvalidRequest):
        await books.reprice(first, last)


async def test_every_scope_of_a_row_follows_its_correction() -> None:
    house = House("alpha")
    for scope in ("customer:acme", "provider:alpha", "key:k1"):
        await house.budget(scope, monthly_spend_nano=10**9, daily_spend_nano=10**9)
    house.play("alpha", well())
    await house.ask(labels=("acme", ""))
    book = PriceBook(CATALOGUE)
    book.replace([PriceRow(provider="alpha", model="*", valid_from=0, price=NEW)])
    follow = (house.admission.correct, house.scopes.correct)
    run = Repricing(house.ledger, house.posting, house.audit, book, house.clock, follow)
    assert (await run.run(Reprice(first=DAY, last=DAY), "req_9"))["corrections"] == 1
    right = charge(Usage(4, 3), NEW)
    assert [(one.day.spend, one.month.spend) for one in house.scopes.standings.values()] == [(right, right)] * 3
    assert (await house.admission.standing(house.user)).month.spend == right
