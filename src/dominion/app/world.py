"""Opens the outside world: files, database, providers. Builds nothing over it."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from dominion.app.dialects import Dialects
from dominion.app.place import WORKERS, Place
from dominion.app.storage import open_storage
from dominion.config import Secret, Settings, local_model_slot, slots
from dominion.credentials.keys import derive
from dominion.credentials.present import PER_REQUEST
from dominion.domain.contracts import Authority, Clock
from dominion.domain.providers import Slot
from dominion.domain.stores import Rates
from dominion.providers.catalog import Catalogue
from dominion.providers.facts import ensure_facts, read_facts
from dominion.providers.price_file import ProviderPrices
from dominion.providers.pricebook import PriceBook, ensure_prices, read_prices
from dominion.services.figures.workers import Board
from dominion.services.limits.posting import Posting
from dominion.services.offer.lineup import Lineup
from dominion.stores.files.figures import FigureFiles
from dominion.stores.sealing.keys import KeyFile, KeyPlace, KeyRing, key_ring
from dominion.stores.sealing.places import Vault, key_place
from dominion.stores.sql.allowances import SqlAllowances
from dominion.stores.sql.attempts import SqlAttempts
from dominion.stores.sql.audit import PURPOSE, SqlAudit
from dominion.stores.sql.changes import SqlChanges
from dominion.stores.sql.database import Database
from dominion.stores.sql.ledger import SqlLedger
from dominion.stores.sql.people import SqlPeople
from dominion.stores.sql.settings import SqlSettings
from dominion.upstream.bounds import Timeouts
from dominion.upstream.egress import EgressGuard
from dominion.upstream.local_model import LocalModel
from dominion.upstream.outbox import Outbox
from dominion.upstream.pool import HttpUpstream
from dominion.upstream.proxies import Proxies

ROOT_MARK = "sealing-root"


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class World(NamedTuple):
    """The outside world, opened. `sealing` is the root of `keys`: what is derived from it outlives a rotation."""

    database: Database
    people: SqlPeople
    changes: SqlChanges
    rates: Rates | None
    ledger: SqlLedger
    attempts: SqlAttempts
    kept: SqlSettings
    audit: SqlAudit
    posting: Posting
    http: HttpUpstream
    outbox: Outbox
    lineup: Lineup
    catalogue: Catalogue
    prices: PriceBook
    sealing: bytes
    keys: KeyRing
    keys_kept: KeyPlace
    egress: EgressGuard
    dialects: Dialects
    board: Board | None
    leases: SqlAllowances | None


async def open_world(
    settings: Settings, place: Place, clock: Clock, opened: AsyncExitStack, warnings: list[str], *, local_model: bool
) -> World:
    """Open files, database and providers; `opened` closes each when the gateway ends. Adds to `warnings`.

    Raises ConfigProblem or StorageUnavailable.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    storage = await open_storage(settings, place, opened)
    database = storage.database
    facts = await asyncio.to_thread(lambda: read_facts(ensure_facts(settings.data_dir)))
    catalogue = Catalogue.load(settings.default_model, facts)
    found, skipped = slots(settings, catalogue)
    warnings += skipped
    if local_model:
        local = await opened.enter_async_context(LocalModel(settings.data_dir / "local-model"))
        found.insert(0, local_model_slot(catalogue, int(local.address.rsplit(":", 1)[1])))
    priced = any(not slot.row.local and slot.target.origin.scheme != "stub" for slot in found)
    exported = await asyncio.to_thread(exported_prices, settings) if priced else None
    keys_kept = keys_place(settings)
    keys = key_ring(keys_kept, KeyFile(_key_file(settings)))
    kept = SqlSettings(database)
    warnings += await _other_root(kept, keys_kept.name, derive(keys.root, ROOT_MARK))
    egress = EgressGuard(settings.egress_allow)
    outbox = Outbox()
    http = HttpUpstream(_timeouts(settings), proxies=_proxies(settings), resolve=egress.resolve, outbox=outbox)
    opened.push_async_callback(http.aclose)
    return World(
        database=database,
        people=SqlPeople(database),
        changes=storage.changes,
        rates=storage.rates,
        ledger=storage.ledger,
        attempts=storage.attempts,
        kept=kept,
        audit=SqlAudit(database, derive(keys.root, PURPOSE)),
        posting=storage.posting,
        http=http,
        outbox=outbox,
        lineup=Lineup(found, _authorities(settings, found, http, clock)),
        catalogue=catalogue,
        prices=PriceBook(catalogue, settings.prices, exported),
        sealing=keys.root,
        keys=keys,
        keys_kept=keys_kept,
        egress=egress,
        board=FigureFiles(settings.data_dir / WORKERS, place.number) if place.number else None,
        dialects=_dialects(found),
        leases=storage.leases,
    )


def _dialects(slots: list[Slot]) -> Dialects:
    """With those of packages that are configured. Raises ConfigProblem."""
    dialects = Dialects()
    for slot in slots:
        dialects[slot.row.wire]
    return dialects


async def _other_root(kept: SqlSettings, place: str, mark: bytes) -> list[str]:
    """A warning when the sealing key is not that of the database: no caller's key would be right here.

    The database keeps a mark that is derived from the key and tells nothing of it. Raises StorageUnavailable.
    """
    known = await kept.get(ROOT_MARK)
    if known is None:
        await kept.put(ROOT_MARK, mark)
    if known in {None, mark}:
        return []
    says = "is not the one that this database was made with: keys made with that one are wrong here. All gateways of a "
    return [f"the sealing key in {place} {says}database need the same sealing key."]


def keys_place(settings: Settings) -> KeyPlace:
    """Where the sealing keys are kept."""
    vault = Vault(settings.vault_addr, _shown(settings.vault_token), settings.vault_path)
    return key_place(settings.sealing_key_source, _key_file(settings), _shown(settings.sealing_key), vault)


def _key_file(settings: Settings) -> Path:
    return settings.data_dir / "sealing.key"


def _shown(secret: Secret | None) -> str:
    return secret.reveal() if secret else ""


def _authorities(settings: Settings, slots: list[Slot], http: HttpUpstream, clock: Clock) -> dict[str, Authority]:
    """For the slots that need one. The clouds' arithmetic takes longer to import than a start without them."""
    if not any(slot.row.credentials == PER_REQUEST for slot in slots):
        return {}
    from dominion.authorities import authorities  # noqa: PLC0415

    return authorities(settings, slots, http, clock)


def exported_prices(settings: Settings) -> Mapping[str, ProviderPrices]:
    """The prices of the price source. Blocks for a second the first time."""
    return read_prices(ensure_prices(settings.data_dir))


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(
        connect=settings.connect_seconds,
        first_byte=settings.first_byte_seconds,
        idle=settings.idle_seconds,
        total=settings.total_seconds,
    )


def _proxies(settings: Settings) -> Proxies:
    return Proxies(
        http=_shown(settings.http_proxy),
        https=_shown(settings.https_proxy),
        no_proxy=",".join(settings.no_proxy),
    )
