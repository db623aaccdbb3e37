"""Builds services and doors over an opened world, and hands each the few values that it needs."""

import asyncio
import random
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple

from dominion import __version__
from dominion.app.dialects import DIALECTS
from dominion.app.world import World
from dominion.config import Settings
from dominion.credentials.keys import KeyHasher, derive
from dominion.domain.contracts import Clock, Dialect, Exchange, Upstream
from dominion.domain.people import Limits
from dominion.domain.providers import Target
from dominion.providers.stub_upstream import StubUpstream
from dominion.services.accounts import Accounts
from dominion.services.admission import Admission
from dominion.services.completion import Completions, Rules
from dominion.services.counters import Counters
from dominion.services.counting import Counting
from dominion.services.embedding import EMBEDDINGS, EmbeddingCatalogue, Embeddings
from dominion.services.health import Health
from dominion.services.identity import Identity
from dominion.services.listing import ModelList
from dominion.services.operations import operations
from dominion.services.router import Router, RouterRules
from dominion.services.routing import Resolver, Routing
from dominion.transports.http.completions import Entrance, RequestIds
from dominion.transports.http.guard import AdminGate, IpGuard
from dominion.transports.http.metrics import MetricsPage
from dominion.transports.http.openapi import document
from dominion.transports.http.paths import COMPLETIONS, Behind, dialect_of, server
from dominion.transports.http.routes import Routes
from dominion.transports.http.server import HttpServer
from dominion.upstream.pool import HttpUpstream


class Inside(NamedTuple):
    """What is built over the world."""

    accounts: Accounts
    health: Health
    application: HttpServer


def build(world: World, settings: Settings, clock: Clock, gate: AdminGate) -> Inside:
    """Make services and doors, and hand each the few values that it needs."""
    counters = Counters()
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


class Upstreams:
    """Sends to sockets, or to the stub that has none."""

    def __init__(self, http: HttpUpstream, stub: StubUpstream) -> None:
        self._http = http
        self._stub = stub

    def send(self, target: Target, body: bytes, extra: bytes = b"") -> Coroutine[Any, Any, Exchange]:
        """See `domain.contracts.Upstream`."""
        return (self._stub if target.origin.scheme == "stub" else self._http).send(target, body, extra)


def _behind(
    world: World,
    admission: Admission,
    upstream: Upstream,
    counters: Counters,
    clock: Clock,
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


def _default_limits(settings: Settings) -> Limits:
    return Limits(
        daily_requests=settings.default_daily_requests,
        daily_tokens=settings.default_daily_tokens,
        monthly_spend_nano=settings.default_monthly_spend_cap_usd,
        concurrent_requests=settings.default_concurrent_requests,
        requests_per_minute=settings.default_requests_per_minute,
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
