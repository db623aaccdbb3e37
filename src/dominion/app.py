"""The composition root: settings in, a running gateway out. The only file that knows everyone."""

import asyncio
import gc
import logging
import random
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import uvloop

from dominion import __version__
from dominion.config import Settings, local_model_slot, slots
from dominion.credentials.keys import KeyHasher, derive
from dominion.credentials.present import PER_REQUEST
from dominion.domain.contracts import Authority, Dialect, Exchange, Upstream
from dominion.domain.people import Limits
from dominion.domain.providers import Slot, Target
from dominion.providers.catalog import Catalogue
from dominion.providers.price_file import ProviderPrices
from dominion.providers.pricebook import PriceBook, ensure_prices, read_prices
from dominion.providers.stub_upstream import StubUpstream
from dominion.services.accounts import Accounts
from dominion.services.admission import Admission
from dominion.services.bootstrap import FirstStart, admin_digest, first_start
from dominion.services.completion import Completions, Rules
from dominion.services.counters import Counters
from dominion.services.counting import Counting
from dominion.services.embedding import EMBEDDINGS, EmbeddingCatalogue, Embeddings
from dominion.services.health import Health
from dominion.services.identity import Identity
from dominion.services.listing import ModelList
from dominion.services.operations import operations
from dominion.services.posting import Posting
from dominion.services.router import Router, RouterRules
from dominion.services.routing import Resolver, Routing
from dominion.stores.database import Database
from dominion.stores.journal import FileJournal
from dominion.stores.ledger import SqlLedger
from dominion.stores.people import SqlPeople
from dominion.stores.sealing import sealing_key
from dominion.stores.settings import SqlSettings
from dominion.transports.http.completions import Entrance, RequestIds
from dominion.transports.http.guard import AdminGate, IpGuard, token_digest
from dominion.transports.http.listener import Listener, bind
from dominion.transports.http.metrics import MetricsPage
from dominion.transports.http.openapi import document
from dominion.transports.http.paths import COMPLETIONS, Behind, dialect_of, server
from dominion.transports.http.routes import Routes
from dominion.transports.http.server import HttpServer
from dominion.upstream.bounds import Timeouts
from dominion.upstream.local_model import LocalModel
from dominion.upstream.pool import HttpUpstream
from dominion.upstream.proxies import Proxies
from dominion.wire.anthropic_cloud import ANTHROPIC_VERTEX, BEDROCK_INVOKE
from dominion.wire.anthropic_messages import ANTHROPIC_MESSAGES
from dominion.wire.bedrock_converse import BEDROCK_CONVERSE
from dominion.wire.gemini import GEMINI
from dominion.wire.native import NATIVE
from dominion.wire.ollama_chat import OLLAMA_CHAT
from dominion.wire.openai_chat import (
    OPENAI_CHAT,
    OPENAI_CHAT_GOOGLE,
    OPENAI_CHAT_MISTRAL,
    OPENAI_CHAT_OLD_CAP,
    OPENAI_CHAT_OPENROUTER,
)
from dominion.wire.openai_completions import OPENAI_COMPLETIONS
from dominion.wire.openai_responses import OPENAI_RESPONSES

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        OPENAI_CHAT,
        ANTHROPIC_MESSAGES,
        NATIVE,
        GEMINI,
        OPENAI_RESPONSES,
        OPENAI_COMPLETIONS,
        BEDROCK_CONVERSE,
        BEDROCK_INVOKE,
        ANTHROPIC_VERTEX,
        OLLAMA_CHAT,
        OPENAI_CHAT_GOOGLE,
        OPENAI_CHAT_MISTRAL,
        OPENAI_CHAT_OLD_CAP,
        OPENAI_CHAT_OPENROUTER,
    )
}

GC_THRESHOLDS = (20_000, 20, 100)
"""A request makes few cycles and many short-lived objects: looking at them 20 times a second is enough."""


def allow_many_files() -> None:
    """Take what the system allows: an open stream is two files, and the usual soft limit of 1,024 ends at 500."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Ready(NamedTuple):
    """What the start came to, for whoever announces it."""

    url: str
    providers: list[str]
    warnings: list[str]
    first: FirstStart | None
    recovered: int


class Upstreams:
    """Sends to sockets, or to the stub that has none."""

    def __init__(self, http: HttpUpstream, stub: StubUpstream) -> None:
        self._http = http
        self._stub = stub

    def send(self, target: Target, body: bytes, extra: bytes = b"") -> Coroutine[Any, Any, Exchange]:
        """See `domain.contracts.Upstream`."""
        return (self._stub if target.origin.scheme == "stub" else self._http).send(target, body, extra)


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


class Inside(NamedTuple):
    """What is built over the world."""

    accounts: Accounts
    health: Health
    application: HttpServer


class Gateway:
    """A running gateway. `start` opens everything, `run` serves until `stop`, and the end closes everything."""

    def __init__(self, settings: Settings, *, local_model: bool = False) -> None:
        self._settings = settings
        self._wants_local_model = local_model
        self._clock = SystemClock()
        self._opened = AsyncExitStack()
        self._warnings: list[str] = []

    async def start(self) -> Ready:
        """Open everything and listen. Raises ConfigProblem or StorageUnavailable; then nothing stays open."""
        settings = self._settings
        try:
            self._socket = bind(settings.host, settings.port)
            self._opened.callback(self._socket.close)
            world = await self._open()
            recovered = await world.posting.start()
            self._opened.push_async_callback(world.posting.close)
            token_key = derive(world.sealing, "admin-token")
            given = settings.admin_token
            digest, minted = await admin_digest(
                world.kept,
                token_digest(given.reveal(), token_key) if given else None,
                lambda token: token_digest(token, token_key),
            )
            inside = self._build(world, AdminGate(digest, token_key, self._clock))
            first = await first_start(world.kept, inside.accounts, minted)
        except BaseException:
            await self._opened.aclose()
            raise
        self._health = inside.health
        self._listener = Listener(inside.application, int(settings.drain_seconds))
        return Ready(
            _url(self._socket),
            list(dict.fromkeys(slot.row.id for slot in world.slots)),
            self._warnings,
            first,
            recovered,
        )

    async def run(self) -> None:
        """Serve until `stop`, then let running requests end and close everything."""
        try:
            await self._listener.run_on(self._socket)
        finally:
            await self._opened.aclose()

    def stop(self) -> None:
        """Drain and end; called again: end at once."""
        self._health.draining = True
        self._listener.stop()

    async def _open(self) -> World:
        """Open files, database and providers; each is closed when the gateway ends."""
        settings = self._settings
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        journal = FileJournal(
            settings.data_dir / "journal", mode="fsync" if settings.durability == "fsync" else "journal"
        )
        self._opened.callback(journal.close)
        database = Database.open(settings.sqlite_path)
        self._opened.push_async_callback(database.close)
        catalogue = Catalogue.load(settings.default_model)
        found, warnings = slots(settings, catalogue)
        self._warnings += warnings
        if self._wants_local_model:
            local = await self._opened.enter_async_context(LocalModel(settings.data_dir / "local-model"))
            found.insert(0, local_model_slot(catalogue, int(local.address.rsplit(":", 1)[1])))
        priced = any(not slot.row.local and slot.target.origin.scheme != "stub" for slot in found)
        exported = await asyncio.to_thread(_exported_prices, settings, found) if priced else None
        ledger = SqlLedger(database)
        http = HttpUpstream(_timeouts(settings), proxies=_proxies(settings))
        self._opened.push_async_callback(http.aclose)
        return World(
            database=database,
            people=SqlPeople(database),
            ledger=ledger,
            kept=SqlSettings(database),
            posting=Posting(journal, ledger),
            http=http,
            slots=found,
            authorities=self._authorities(found, http),
            catalogue=catalogue,
            prices=PriceBook(catalogue, settings.prices, exported),
            sealing=sealing_key(settings.data_dir / "sealing.key"),
        )

    def _authorities(self, slots: list[Slot], http: HttpUpstream) -> dict[str, Authority]:
        """For the slots that need one. The clouds' arithmetic takes longer to import than a start without them."""
        if not any(slot.row.credentials == PER_REQUEST for slot in slots):
            return {}
        from dominion.authorities import authorities  # noqa: PLC0415

        return authorities(self._settings, slots, http, self._clock)

    def _build(self, world: World, gate: AdminGate) -> Inside:
        """Make services and doors, and hand each the few values that it needs."""
        settings, clock, counters = self._settings, self._clock, Counters()
        window, trusted = settings.rate_limit_window_ms / 1000, frozenset(settings.trusted_proxies)
        hasher = KeyHasher(derive(world.sealing, "key-digest"))
        identity = Identity(world.people, hasher)
        admission = Admission(world.ledger, world.posting, clock, window)
        accounts = Accounts(
            world.people, world.ledger, world.posting, admission, identity, hasher, clock, _default_limits(settings)
        )
        models = ModelList(world.catalogue, world.slots, world.prices.price, clock)
        health = Health(world.slots, world.database.ping, world.http.reach, clock)
        stub = StubUpstream(first_byte=settings.first_byte_seconds, idle=settings.idle_seconds)
        router = Router(RouterRules(), counters, clock, random.random, asyncio.sleep)
        behind = _behind(world, admission, Upstreams(world.http, stub), counters, clock, settings, router)
        guard, ids = IpGuard(settings.rate_limit_ip_max, window, clock), RequestIds(clock)
        entrance = Entrance(identity, guard, counters, clock, settings.max_body_bytes, trusted)
        table = operations(accounts, models, health, router)
        metrics = MetricsPage(counters, lambda: _gauges(world, admission, identity), router.snapshot)
        rest = Routes(identity, gate, guard, ids, dialect_of, trusted).application(
            table, models, metrics, document(table, COMPLETIONS, __version__)
        )
        return Inside(accounts, health, server(behind, entrance, rest, ids))


def _behind(
    world: World,
    admission: Admission,
    upstream: Upstream,
    counters: Counters,
    clock: SystemClock,
    settings: Settings,
    router: Router,
) -> Behind:
    """What answers calls. Embeddings are held by bytes, however the operator bounds prompts: input is all they are."""

    def routing(catalogue: Resolver, dialects: Mapping[str, Dialect]) -> Routing:
        return Routing(catalogue, world.slots, dialects, world.prices.price, clock, world.authorities)

    rules = Rules(settings.default_max_output, settings.bytes_per_token, settings.unpriced == "allow")
    spoken, embedding = routing(world.catalogue, DIALECTS), routing(EmbeddingCatalogue(world.catalogue), EMBEDDINGS)
    strict = rules._replace(bytes_per_token=1)
    return Behind(
        Completions(spoken, admission, upstream, counters, clock, rules, router),
        Embeddings(Completions(embedding, admission, upstream, counters, clock, strict, router), embedding),
        Counting(routing(world.catalogue, DIALECTS), admission, upstream, counters),  # without substitutes
    )


async def serve(settings: Settings, announce: Callable[[Ready], None], *, local_model: bool = False) -> None:
    """Run a gateway until SIGINT or SIGTERM; `announce` is called when it answers. Raises as `Gateway.start`."""
    gateway = Gateway(settings, local_model=local_model)
    ready = await gateway.start()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, gateway.stop)
    allow_many_files()
    gc.collect()
    gc.freeze()  # what lives for ever need not be looked at again
    gc.set_threshold(*GC_THRESHOLDS)
    announce(ready)
    await gateway.run()


def main(settings: Settings, announce: Callable[[Ready], None], *, local_model: bool = False) -> None:
    """`serve` in an event loop of its own."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, announce, local_model=local_model))


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - only shown
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _exported_prices(settings: Settings, found: list[Slot]) -> dict[str, ProviderPrices]:
    return read_prices(ensure_prices(settings.data_dir), [slot.row for slot in found])


def _default_limits(settings: Settings) -> Limits:
    return Limits(
        daily_requests=settings.default_daily_requests,
        daily_tokens=settings.default_daily_tokens,
        monthly_spend_nano=settings.default_monthly_spend_cap_usd,
        concurrent_requests=settings.default_concurrent_requests,
        requests_per_minute=settings.default_requests_per_minute,
    )


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


def _gauges(world: World, admission: Admission, identity: Identity) -> dict[str, float]:
    return {
        "requests_running": admission.running,
        "journal_rows_pending": world.posting.pending,
        "storage_failing": world.posting.storage_failing,
        "key_verifications": identity.argon2_runs,
        "upstream_connections_opened": world.http.counters.opened,
        "upstream_connections_reused": world.http.counters.reused,
        "upstream_exchanges_retried": world.http.counters.retried,
    }
