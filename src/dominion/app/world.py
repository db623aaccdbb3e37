"""Opens the outside world: files, database, providers. Builds nothing over it."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import NamedTuple

from dominion.config import Settings, local_model_slot, slots
from dominion.credentials.present import PER_REQUEST
from dominion.domain.contracts import Authority, Clock
from dominion.domain.providers import Slot
from dominion.providers.catalog import Catalogue
from dominion.providers.price_file import ProviderPrices
from dominion.providers.pricebook import PriceBook, ensure_prices, read_prices
from dominion.services.posting import Posting
from dominion.stores.database import Database
from dominion.stores.journal import FileJournal
from dominion.stores.ledger import SqlLedger
from dominion.stores.people import SqlPeople
from dominion.stores.sealing import sealing_key
from dominion.stores.settings import SqlSettings
from dominion.upstream.bounds import Timeouts
from dominion.upstream.local_model import LocalModel
from dominion.upstream.pool import HttpUpstream
from dominion.upstream.proxies import Proxies


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class World(NamedTuple):
    """The outside world, opened."""

    database: Database
    people: SqlPeople
    ledger: SqlLedger
    kept: SqlSettings
    posting: Posting
    http: HttpUpstream
    slots: list[Slot]
    authorities: dict[str, Authority]
    catalogue: Catalogue
    prices: PriceBook
    sealing: bytes


async def open_world(
    settings: Settings, clock: Clock, opened: AsyncExitStack, warnings: list[str], *, local_model: bool
) -> World:
    """Open files, database and providers; `opened` closes each when the gateway ends. Adds to `warnings`.

    Raises ConfigProblem or StorageUnavailable.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    journal = FileJournal(settings.data_dir / "journal", mode="fsync" if settings.durability == "fsync" else "journal")
    opened.callback(journal.close)
    database = Database.open(settings.sqlite_path)
    opened.push_async_callback(database.close)
    catalogue = Catalogue.load(settings.default_model)
    found, skipped = slots(settings, catalogue)
    warnings += skipped
    if local_model:
        local = await opened.enter_async_context(LocalModel(settings.data_dir / "local-model"))
        found.insert(0, local_model_slot(catalogue, int(local.address.rsplit(":", 1)[1])))
    priced = any(not slot.row.local and slot.target.origin.scheme != "stub" for slot in found)
    exported = await asyncio.to_thread(_exported_prices, settings, found) if priced else None
    ledger = SqlLedger(database)
    http = HttpUpstream(_timeouts(settings), proxies=_proxies(settings))
    opened.push_async_callback(http.aclose)
    return World(
        database=database,
        people=SqlPeople(database),
        ledger=ledger,
        kept=SqlSettings(database),
        posting=Posting(journal, ledger),
        http=http,
        slots=found,
        authorities=_authorities(settings, found, http, clock),
        catalogue=catalogue,
        prices=PriceBook(catalogue, settings.prices, exported),
        sealing=sealing_key(settings.data_dir / "sealing.key"),
    )


def _authorities(settings: Settings, slots: list[Slot], http: HttpUpstream, clock: Clock) -> dict[str, Authority]:
    """For the slots that need one. The clouds' arithmetic takes longer to import than a start without them."""
    if not any(slot.row.credentials == PER_REQUEST for slot in slots):
        return {}
    from dominion.authorities import authorities  # noqa: PLC0415

    return authorities(settings, slots, http, clock)


def _exported_prices(settings: Settings, found: list[Slot]) -> dict[str, ProviderPrices]:
    return read_prices(ensure_prices(settings.data_dir), [slot.row for slot in found])


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(
        connect=settings.connect_seconds,
        first_byte=settings.first_byte_seconds,
        idle=settings.idle_seconds,
        total=settings.total_seconds,
    )


def _proxies(settings: Settings) -> Proxies:
    return Proxies(
        http=settings.http_proxy.reveal() if settings.http_proxy else "",
        https=settings.https_proxy.reveal() if settings.https_proxy else "",
        no_proxy=",".join(settings.no_proxy),
    )
