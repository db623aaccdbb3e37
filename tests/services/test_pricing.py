"""services/prices/pricing.py: prices that are set hold at once, everywhere, from their second on, and leave a trace."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from dominion.config import stub_slot
from dominion.domain.errors import Conflict, InvalidRequest, StorageUnavailable, UnknownProvider
from dominion.providers.catalog import Catalogue
from dominion.providers.pricebook import PriceBook
from dominion.services.offer.lineup import Lineup
from dominion.services.prices.pricing import LOOK_EVERY, NewPrice, Pricing
from dominion.stores.memory.prices import MemoryPrices
from dominion.stores.memory.registry import MemoryAudit
from tests.services.clocks import HandClock

CATALOGUE = Catalogue.load()


class Process:
    """One of those that share a store. `watch` looks `times` times and moves the clock by a second before each; `hear`
    is what it does when another one has added a price."""

    def __init__(self, store: MemoryPrices, audit: MemoryAudit, clock: HandClock) -> None:
        self.clock = clock
        self.book = PriceBook(CATALOGUE)
        self.lineup = Lineup([stub_slot(CATALOGUE)], {})
        self.pricing = Pricing(store, audit, self.book, CATALOGUE, self.lineup, clock)

    async def watch(self, times: int) -> None:
        looked = 0

        async def sleep(seconds: float) -> None:
            nonlocal looked
            assert seconds == LOOK_EVERY
            if looked == times:
                raise asyncio.CancelledError
            looked += 1
            self.clock.move(seconds)

        with pytest.raises(asyncio.CancelledError):
            await self.pricing.watch(sleep)

    async def hear(self) -> None:
        await self.pricing.hear("stub/echo")

    def costs(self, model: str = "echo") -> int | None:
        """Pico-dollars of a token of input now."""
        price = self.book.price("stub", model, self.clock.now())
        return None if price is None else price.input


class Two:
    """Two processes on one store, which fails while `down`."""

    def __init__(self) -> None:
        self.down = False
        self.clock = HandClock()
        self.audit = MemoryAudit(b"a" * 32)
        store = MemoryPrices(self._before)
        self.here, self.there = Process(store, self.audit, self.clock), Process(store, self.audit, self.clock)

    def _before(self) -> None:
        if self.down:
            raise StorageUnavailable("The gateway's database is not available.")

    async def set(self, usd: str, **fields: Any) -> dict[str, Any]:
        form = {"provider": "stub", "model": "echo", "output_usd_per_million": Decimal(2), **fields}
        return await self.here.pricing.add(NewPrice(input_usd_per_million=Decimal(usd), **form), "req_1")


@pytest.fixture
def two() -> Two:
    return Two()


async def test_a_price_holds_here_at_once_and_elsewhere_when_they_hear_of_it(two: Two) -> None:
    assert (two.here.costs(), two.there.costs()) == (1_000_000, 1_000_000)
    versions = two.here.lineup.version, two.there.lineup.version
    await two.set("1.5")
    assert (two.here.costs(), two.there.costs()) == (1_500_000, 1_000_000)
    await two.there.hear()
    assert two.there.costs() == 1_500_000
    assert (two.here.lineup.version, two.there.lineup.version) == (versions[0] + 1, versions[1] + 1)


async def test_hearing_and_looking_again_changes_nothing(two: Two) -> None:
    await two.set("1.5")
    await two.there.hear()
    version = two.there.lineup.version
    await two.there.hear()
    await two.there.watch(20)
    assert two.there.lineup.version == version


async def test_a_price_of_tomorrow_begins_tomorrow_and_whoever_remembers_a_route_is_told(two: Two) -> None:
    added = await two.set("3", valid_from="2026-01-05T00:00:10Z", note="a new contract")
    assert (added["valid_from"], added["before"]["input_usd_per_million"]) == ("2026-01-05T00:00:10Z", "1")
    version = two.here.lineup.version
    await two.here.watch(9)
    assert (two.here.costs(), two.here.lineup.version) == (1_000_000, version)
    await two.here.watch(1)
    assert (two.here.costs(), two.here.lineup.version) == (3_000_000, version + 1)


async def test_while_the_database_is_away_prices_hold_and_afterwards_they_are_read(two: Two) -> None:
    await two.set("1.5")
    two.down = True
    with pytest.raises(StorageUnavailable):
        await two.there.hear()
    assert two.there.costs() == 1_000_000
    with pytest.raises(StorageUnavailable):
        await two.set("1.6")
    two.down = False
    await two.there.hear()
    assert two.there.costs() == 1_500_000


async def test_a_leap_must_be_confirmed(two: Two) -> None:
    with pytest.raises(Conflict, match="hundred"):
        await two.set("100.01")
    with pytest.raises(Conflict, match="hundred"):
        await two.set("0.009")
    assert two.here.costs() == 1_000_000
    await two.set("100.01", confirm=True)
    assert two.here.costs() == 100_010_000
    await two.set("100.02")
    assert two.here.costs() == 100_020_000


async def test_a_leap_is_judged_by_the_price_that_holds_where_the_new_one_begins(two: Two) -> None:
    await two.set("90", valid_from="2026-02-01")
    await two.set("1000", valid_from="2026-02-02")
    with pytest.raises(Conflict):
        await two.set("1000", valid_from="2026-01-31")


async def test_every_change_is_in_the_audit_log_with_what_was_before(two: Two) -> None:
    await two.set("1.5")
    await two.set("1.6")
    first, second = await two.audit.entries()
    assert (first.action, first.subject, first.request_id) == ("price.set", "price:stub/echo", "req_1")
    assert first.after is not None
    assert second.before is not None
    assert (first.after["input_usd_per_million"], second.before["input_usd_per_million"]) == ("1.5", "1.5")


async def test_the_list_says_where_each_price_comes_from(two: Two) -> None:
    await two.set("1.5")
    shown = {row["model"]: row for row in (await two.here.pricing.prices())["prices"]}
    assert (shown["echo"]["source"], shown["echo"]["input_usd_per_million"]) == ("operator", "1.5")
    assert (shown["tool"]["source"], shown["tool"]["input_usd_per_million"]) == ("catalogue", "1")


async def test_the_history_holds_every_price_ever_set_and_what_was_before_them(two: Two) -> None:
    await two.set("2", valid_from="2026-03-01", note="later")
    await two.set("1.5", cache_read_usd_per_million=Decimal("0.1"))
    told = (await two.here.pricing.history("Stub", "echo"))["prices"]
    assert [(row["source"], row["valid_from"], row["input_usd_per_million"]) for row in told] == [
        ("catalogue", None, "1"),
        ("operator", "2026-01-05T00:00:00Z", "1.5"),
        ("operator", "2026-03-01T00:00:00Z", "2"),
    ]
    assert [row.get("cache_read_usd_per_million") for row in told] == ["1", "0.1", "2"]
    assert told[2]["note"] == "later"


async def test_the_history_of_a_dated_price_of_the_catalogue_has_its_days(two: Two) -> None:
    told = (await two.here.pricing.history("openai", "gpt-4o"))["prices"]
    assert [(row["valid_from"], row["input_usd_per_million"]) for row in told] == [
        (None, "5"),
        ("2024-10-02T00:00:00Z", "2.5"),
    ]


@pytest.mark.parametrize(
    ("wrong", "raised"),
    [
        ({"provider": "nobody"}, UnknownProvider),
        ({"model": ""}, InvalidRequest),
        ({"model": "m" * 257}, InvalidRequest),
        ({"note": "n" * 1001}, InvalidRequest),
        ({"valid_from": "yesterday"}, InvalidRequest),
        ({"output_usd_per_million": Decimal(-1)}, InvalidRequest),
        ({"output_usd_per_million": Decimal("0.0000001")}, InvalidRequest),
    ],
    ids=str,
)
async def test_what_is_no_price_is_refused_and_leaves_nothing(
    two: Two, wrong: dict[str, Any], raised: type[Exception]
) -> None:
    with pytest.raises(raised):
        await two.set("1", **wrong)
    assert await two.audit.entries() == []
    assert two.here.costs() == 1_000_000
