"""The registry over memory stores: what happens when storage fails, keys do not open, and two change at once."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from dominion.config import load, stub_slot
from dominion.config.registered import Registered
from dominion.credentials.sealing import Sealer
from dominion.domain.contracts import Dialect
from dominion.domain.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from dominion.domain.providers import Origin, ProviderRow, Slot, Target
from dominion.domain.registry import owner_of_provider
from dominion.providers.catalog import STUB, Catalogue
from dominion.providers.pricebook import PriceBook
from dominion.services.offer.explaining import Explanations
from dominion.services.offer.lineup import Lineup
from dominion.services.registry.advice import Advice
from dominion.services.registry.checks import Checks
from dominion.services.registry.editing import NewProvider, ProviderChanges, Registry
from dominion.services.registry.loading import Loading
from dominion.services.registry.validation import Validation
from dominion.stores.memory.registry import MemoryAudit, MemoryRegistry
from dominion.upstream.pool import HttpUpstream
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.emulators.listed import Listed
from tests.services.clocks import HandClock

CATALOGUE = Catalogue.load()
DIALECTS: dict[str, Dialect] = {OPENAI_CHAT.name: OPENAI_CHAT}
KEY = "right-key-0123456789"
URL = "http://127.0.0.1:1"


def public(origin: Origin) -> Origin:
    return origin


async def found(origin: Origin) -> object:
    return origin


class Process:
    """One of those that share a store."""

    def __init__(self, store: MemoryRegistry, audit: MemoryAudit, sockets: HttpUpstream, *of_file: Slot) -> None:
        self.clock = HandClock()
        self.sealer = Sealer({1: bytes(32)}, 1)
        self.lineup = Lineup([*of_file, stub_slot(CATALOGUE)], {})
        self.learnt: list[str] = []
        known = {name: row for name, row in CATALOGUE.providers.items() if name != STUB}
        maker = Registered(load({}), CATALOGUE, public)
        self.loading = Loading(store, self.sealer, maker, self.lineup, known, DIALECTS, self.learn, self.clock)
        self.registry = Registry(self.loading, audit, DIALECTS, found)
        advice = Advice(CATALOGUE, self.lineup, PriceBook(CATALOGUE).price, self.learn, self.clock)
        self.checks = Checks(
            self.loading, Validation(sockets, DIALECTS, self.clock), advice, Explanations(CATALOGUE, self.lineup)
        )

    async def learn(self, rows: Iterable[ProviderRow]) -> None:
        self.learnt += [row.id for row in rows]

    async def add(self, name: str = "mine", **fields: Any) -> dict[str, Any]:
        new = {"base_url": URL, "default_model": "m-1", "api_key": KEY, **fields}
        return await self.registry.add(NewProvider(id=name, **new), "req_1")

    @property
    def asked(self) -> list[str]:
        return [slot.row.id for slot in self.lineup.slots]


class Failing:
    """Storage that is away while `away` is set, from the Nth operation on if need be."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __call__(self) -> None:
        if self.left is not None:
            if self.left == 0:
                raise StorageUnavailable("The database is away.")
            self.left -= 1


@pytest.fixture
def failing() -> Failing:
    """The database."""
    return Failing()


@pytest.fixture
def store(failing: Failing) -> MemoryRegistry:
    """What processes share."""
    return MemoryRegistry(failing)


@pytest.fixture
def audit(failing: Failing) -> MemoryAudit:
    """The log that they share."""
    return MemoryAudit(bytes(32), failing)


@pytest.fixture
def process(store: MemoryRegistry, audit: MemoryAudit, sockets: HttpUpstream) -> Process:
    """The process that a test speaks to."""
    return Process(store, audit, sockets)


def of_file(name: str) -> Slot:
    row = ProviderRow(id=name, name=name, base_url=URL)
    return Slot(row, Target(Origin("http", "127.0.0.1", 1), b"POST /v1/chat/completions HTTP/1.1\r\n"))


# --- who is asked


async def test_registered_ones_come_by_their_position_between_the_file_and_the_stub(
    store: MemoryRegistry, audit: MemoryAudit, sockets: HttpUpstream
) -> None:
    process = Process(store, audit, sockets, of_file("filed"))
    for name in ("zeta", "alpha"):
        await process.add(name)
    assert process.asked == ["filed", "zeta", "alpha", "stub"]
    await process.registry.change("alpha", ProviderChanges(position=0), "req_2")
    assert process.asked == ["filed", "alpha", "zeta", "stub"]
    assert set(process.learnt) == {"zeta", "alpha"}


async def test_the_version_of_the_lineup_grows_only_when_somebody_else_is_asked(process: Process) -> None:
    await process.add()
    version = process.lineup.version
    await process.loading.load()
    await process.registry.change("mine", ProviderChanges(), "req_2")
    assert process.lineup.version == version
    await process.registry.change("mine", ProviderChanges(enabled=False), "req_3")
    assert (process.asked, process.lineup.version) == (["stub"], version + 1)


async def test_another_process_follows_and_keeps_who_it_has_while_the_database_is_away(
    process: Process, store: MemoryRegistry, audit: MemoryAudit, sockets: HttpUpstream, failing: Failing
) -> None:
    other = Process(store, audit, sockets)
    await process.add()
    await other.loading.hear("mine")
    assert other.asked == ["mine", "stub"]
    await process.registry.remove("mine", "req_2")
    failing.left = 0
    with pytest.raises(StorageUnavailable):
        await other.loading.hear("mine")
    failing.left = None
    assert other.asked == ["mine", "stub"]
    await other.loading.hear("mine")
    assert other.asked == ["stub"]


async def test_one_that_came_into_the_file_later_counts_there_and_can_be_removed_here(
    process: Process, store: MemoryRegistry, audit: MemoryAudit, sockets: HttpUpstream
) -> None:
    await process.add()
    restarted = Process(store, audit, sockets, of_file("mine"))
    await restarted.loading.load()
    assert restarted.asked == ["mine", "stub"]
    registered = (await restarted.registry.listed())["providers"][1]
    assert (registered["source"], registered["configured"]) == ("registry", False)
    assert registered["problem"] == "The configuration has this provider, too, and goes first."
    with pytest.raises(Conflict):
        await restarted.registry.change("mine", ProviderChanges(name="x"), "req_2")
    await restarted.registry.remove("mine", "req_3")
    assert await store.registrations() == []


async def test_one_whose_dialect_is_gone_is_left_out_and_says_so(process: Process, store: MemoryRegistry) -> None:
    await process.add()
    await process.add("other")

    class Gone(dict[str, Dialect]):
        def __missing__(self, name: str) -> Dialect:
            raise InvalidRequest(f"There is no dialect {name}.")

    [first, *_] = await store.registrations()
    await store.put(replace(first, wire="morse"))
    process.loading.dialects = Gone(DIALECTS)
    await process.loading.load()
    assert process.asked == ["other", "stub"]
    assert (await process.registry.shown("mine"))["problem"] == "There is no dialect morse."
    with pytest.raises(InvalidRequest):
        await process.registry.change("mine", ProviderChanges(default_model="m-2"), "req_2")
    with pytest.raises(InvalidRequest):
        await process.registry.change("mine", ProviderChanges(position=-1), "req_2")
    assert (await process.registry.change("mine", ProviderChanges(enabled=False), "req_3"))["enabled"] is False


# --- keys


async def test_a_key_that_does_not_open_or_is_of_another_address_is_never_used(
    process: Process, store: MemoryRegistry
) -> None:
    await process.add()
    [kept] = await store.credentials()
    await store.put_credential(replace(kept, sealed=kept.sealed[:-1] + b"x"))
    await process.loading.load()
    assert process.asked == ["stub"]
    assert "cannot be opened" in (await process.registry.shown("mine"))["problem"]
    elsewhere = process.sealer.seal(owner_of_provider("mine"), "api_key", "https://elsewhere.example:443", KEY, 0)
    await store.put_credential(elsewhere)
    await process.loading.load()
    assert process.asked == ["stub"]
    shown = await process.registry.shown("mine")
    assert shown["problem"] == "Its key belongs to https://elsewhere.example:443: enter it again."
    await process.registry.set_key("mine", KEY, "req_2")
    assert process.asked == ["mine", "stub"]


async def test_without_a_key_a_provider_waits_and_one_that_needs_none_does_not(process: Process) -> None:
    row = await process.add("keyed", api_key="")
    assert (row["configured"], row["enabled"], row["problem"]) == (False, True, None)
    row = await process.add("open", api_key="", scheme="none")
    assert (row["configured"], process.asked) == (True, ["open", "stub"])
    assert [model["id"] for model in (await process.checks.models("keyed"))["models"]] == ["m-1"]
    found = await process.checks.validate("keyed")
    assert (found["valid"], found["message"], found["action"]) == (False, "keyed has no key yet.", "Set its key.")
    await process.registry.set_key("keyed", f"  {KEY}\n", "req_2")
    assert process.asked == ["keyed", "open", "stub"]
    await process.registry.remove_key("keyed", "req_3")
    assert process.asked == ["open", "stub"]
    with pytest.raises(NotFound):
        await process.registry.remove_key("keyed", "req_4")


# --- storage that fails


@pytest.mark.parametrize("at", range(12))
async def test_whatever_fails_there_is_no_change_without_its_entry(
    process: Process, store: MemoryRegistry, audit: MemoryAudit, failing: Failing, at: int
) -> None:
    await process.add("first")
    failing.left = at
    with suppress(StorageUnavailable):
        await process.add("mine")
    failing.left = None
    actions = [entry.action for entry in await audit.entries(subject="provider:mine")]
    registered = [each.id for each in await store.registrations()]
    keys = [each.owner for each in await store.credentials()]
    assert "mine" not in registered or "provider_added" in actions
    assert "provider:mine" not in keys or "credentials_added" in actions
    await process.loading.hear("mine")
    assert ("mine" in process.asked) == ("provider:mine" in keys)


# --- validation


async def test_what_validation_finds_does_not_undo_a_change_that_came_meanwhile(
    process: Process, store: MemoryRegistry, listed: Listed
) -> None:
    await process.add(base_url=listed.url)
    validating = asyncio.create_task(process.checks.validate("mine"))
    await asyncio.sleep(0)
    await process.registry.change("mine", ProviderChanges(enabled=False), "req_2")
    assert (await validating)["valid"] is True
    [kept] = await store.registrations()
    assert (kept.enabled, kept.validated_at) == (False, None)


async def test_a_disabled_provider_can_be_validated_and_one_of_the_file_remembers_it(
    store: MemoryRegistry, audit: MemoryAudit, sockets: HttpUpstream, listed: Listed
) -> None:
    filed = Registered(load({}), CATALOGUE, public)
    process = Process(store, audit, sockets)
    await process.add(base_url=listed.url, enabled=False)
    assert (await process.checks.validate("mine"))["valid"] is True
    assert process.asked == ["stub"]
    [kept] = await store.registrations()
    slot = filed.slot(replace(kept, id="filed"), "wrong-key-0123456789")
    other = Process(store, audit, sockets, slot)
    assert (await other.checks.validate("filed"))["valid"] is False
    shown = await other.registry.shown("filed")
    assert (shown["source"], shown["problem"]) == (
        "file",
        "Your filed API key is invalid. Please check and try again.",
    )
    assert await store.registrations() == [kept]


async def test_a_new_key_forgets_what_was_found_of_the_old_one(
    process: Process, store: MemoryRegistry, listed: Listed
) -> None:
    await process.add(base_url=listed.url, api_key="wrong-key-0123456789")
    await process.checks.validate("mine")
    assert (await store.registrations())[0].problem
    await process.registry.set_key("mine", KEY, "req_2")
    assert (await store.registrations())[0].problem == ""


async def test_after_a_rate_limit_the_watch_asks_again_when_the_time_has_come(process: Process, listed: Listed) -> None:
    await process.add(base_url=listed.url)
    listed.service.state = "limited"
    found = await process.checks.validate("mine")
    assert (found["retry_after"], found["action"]) == (30, "Nothing needs to be done: it is tried again by itself.")
    listed.service.state = "well"
    problems = []

    async def sleep(_: float) -> None:
        problems.append((await process.registry.shown("mine"))["problem"])
        if len(problems) == 4:
            raise asyncio.CancelledError
        process.clock.move(15)

    with pytest.raises(asyncio.CancelledError):
        await process.checks.watch(sleep)
    said = "mine rate limit hit. Retrying in 30 seconds..."
    assert problems == [said, said, None, None]
