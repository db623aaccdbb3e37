"""Wires the registry of providers: its stores, its keys, the prices that it needs, and the tasks that keep it fresh."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from dominion.app.dialects import Wires
from dominion.app.world import World
from dominion.config import Settings
from dominion.config.registered import Registered
from dominion.domain.contracts import Clock, Upstream
from dominion.domain.providers import ProviderRow
from dominion.domain.registry import SealedCredential
from dominion.providers.catalog import STUB, Catalogue
from dominion.providers.catalog_files import read_other_apis
from dominion.providers.pricebook import PriceBook, ensure_prices, read_prices
from dominion.services.offer.explaining import Explanations
from dominion.services.operations.registry import registry_operations
from dominion.services.operations.table import Operation
from dominion.services.registry.advice import Advice
from dominion.services.registry.checks import Checks
from dominion.services.registry.editing import Registry
from dominion.services.registry.loading import Loading, Sealer
from dominion.services.registry.validation import Validation
from dominion.stores.sealing.keys import KeyPlace, KeyRing, read_ring
from dominion.stores.sql.registry import SqlRegistry

LOG = logging.getLogger("dominion.registry")
AFTER_A_DEFECT = 1.0
"""Seconds: it may be there again at once."""
Watch = Callable[[Callable[[float], Awaitable[None]]], Awaitable[None]]


class Providers(NamedTuple):
    """The registry at work."""

    loading: Loading
    watches: tuple[Watch, ...]
    operations: tuple[Operation, ...]

    async def start(self, opened: AsyncExitStack) -> None:
        """Put the registered ones into the lineup, and keep at it until `opened` closes. Raises StorageUnavailable."""
        async with self.loading.lock:
            await self.loading.load()
        for watch in self.watches:
            task = asyncio.create_task(_for_ever(watch))
            opened.push_async_callback(_end, task)


def providers(world: World, settings: Settings, clock: Clock, upstream: Upstream) -> Providers:
    """Build the registry; `upstream` is who is asked when a provider is validated."""
    known = known_rows(world.catalogue)
    prices = LatePrices(world.prices, known, settings.data_dir)
    loading = Loading(
        SqlRegistry(world.database),
        KeptSealer(world.keys, world.keys_kept),
        Registered(settings, world.catalogue, world.egress.admit),
        world.lineup,
        known,
        world.dialects,
        prices.learn,
        clock,
    )
    for topic in ("registry", "credential"):
        world.changes.listen(topic, loading.hear)
    advice = Advice(world.catalogue, world.lineup, world.prices.price, prices.learn, clock)
    checks = Checks(
        loading, Validation(upstream, world.dialects, clock), advice, Explanations(world.catalogue, world.lineup)
    )
    registry = Registry(loading, world.audit, Wires(world.dialects), world.egress.resolve)
    return Providers(loading, (checks.watch,), registry_operations(registry, checks, advice))


def known_rows(catalogue: Catalogue) -> dict[str, ProviderRow]:
    """One row for each provider that can be configured; of Gemini's two APIs its own."""
    own = {row.id: row for row in read_other_apis() if row.id == "gemini"}
    return {name: own.get(name, row) for name, row in catalogue.providers.items() if name != STUB}


class KeptSealer:
    """Seals with the keys that the gateway began with, and opens also with those that a rotation has added since.

    The arithmetic takes longer to import than a start without credentials: it is imported with the first one.
    """

    def __init__(self, keys: KeyRing, place: KeyPlace) -> None:
        self._keys = keys
        self._place = place
        self._sealer: Sealer | None = None

    def seal(self, owner: str, name: str, origin: str, plain: str, at: int) -> SealedCredential:
        """See `Sealer`. With the newest key: older ones may be retired before this process has heard of it."""
        self._read()
        return self._current().seal(owner, name, origin, plain, at)

    def open(self, credential: SealedCredential) -> str:
        """See `Sealer`."""
        if credential.key_version not in self._keys.versions:
            self._read()
        return self._current().open(credential)

    def _read(self) -> None:
        keys = read_ring(self._place.read() or "", self._place)
        if keys != self._keys:
            self._keys, self._sealer = keys, None

    def _current(self) -> Sealer:
        if self._sealer is None:
            from dominion.credentials import sealing  # noqa: PLC0415

            self._sealer = sealing.Sealer(self._keys.versions, self._keys.current)
        return self._sealer


class LatePrices:
    """Adds prices to the book for providers that were not configured at the start; `known` are the catalogue's."""

    def __init__(self, book: PriceBook, known: Collection[str], data_dir: Path) -> None:
        self._known = known
        self._book = book
        self._data_dir = data_dir

    async def learn(self, rows: Iterable[ProviderRow]) -> None:
        """Once, for the first provider that the price source may know."""
        if not self._book.has_source and any(row.id in self._known and not row.local for row in rows):
            self._book.learn(await asyncio.to_thread(lambda: read_prices(ensure_prices(self._data_dir))))


async def _for_ever(watch: Watch) -> None:
    """A defect must not end the watch: it is logged, and the watch begins anew, never without a pause."""
    while True:
        try:
            await watch(asyncio.sleep)
        except Exception:
            LOG.exception("a defect of the gateway in %s", getattr(watch, "__qualname__", watch))
        await asyncio.sleep(AFTER_A_DEFECT)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])
