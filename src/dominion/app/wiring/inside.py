"""Builds services and doors over an opened world, and hands each the few values that it needs."""

import asyncio
import random
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple

from dominion import __version__
from dominion.app.wiring.alerting import Alerting, alerting
from dominion.app.wiring.analytics import analytics
from dominion.app.wiring.limits import allowances, budgets_over
from dominion.app.wiring.own_keys import key_files, own_keys
from dominion.app.wiring.registered import Providers, providers
from dominion.app.wiring.routes import router_rules, substitutes
from dominion.app.world import World
from dominion.config import Settings
from dominion.credentials.keys import KeyHasher, derive
from dominion.domain.contracts import Clock, Dialect, Exchange, Upstream
from dominion.domain.people import Limits
from dominion.domain.providers import Target
from dominion.providers.stub_upstream import StubUpstream
from dominion.services.accounts.accounts import Accounts
from dominion.services.accounts.following import Following
from dominion.services.accounts.identity import Identity
from dominion.services.accounts.rotating import Rotating
from dominion.services.completions.attempt_records import AttemptLog
from dominion.services.completions.completion import Completions, Rules
from dominion.services.completions.counting import Counting
from dominion.services.completions.embedding import EMBEDDINGS, EmbeddingCatalogue, Embeddings
from dominion.services.completions.fallback_audit import FallbackAudit
from dominion.services.completions.router import Listeners, Router
from dominion.services.figures.counters import Counters
from dominion.services.figures.workers import Together
from dominion.services.limits.admission import Admission
from dominion.services.limits.allowances import Allowances
from dominion.services.limits.budgets import Budgets
from dominion.services.limits.committing import Committed, CommittingPosting
from dominion.services.limits.posting import Posting
from dominion.services.limits.scopes import Scopes
from dominion.services.notices.audit_anchors import AuditAnchors
from dominion.services.offer.aliases import WithAliases
from dominion.services.offer.explaining import Explanations
from dominion.services.offer.health import Health
from dominion.services.offer.listing import ModelList
from dominion.services.offer.routing import Resolver, Routing
from dominion.services.operations.budgets import of_budgets
from dominion.services.operations.credentials import of_credentials, of_rotating
from dominion.services.operations.prices import of_prices
from dominion.services.operations.router import of_router
from dominion.services.operations.table import operations
from dominion.services.prices.pricing import Pricing
from dominion.services.prices.quoting import Quoting
from dominion.services.prices.repricing import Repricing
from dominion.services.registry.own_key_files import KeyFiles
from dominion.services.registry.own_keys import OwnKeys
from dominion.stores.sql.budgets import SqlBudgets
from dominion.stores.sql.prices import SqlPrices
from dominion.transports.http.completions import Answers, Entrance, RequestIds
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
    providers: Providers
    application: HttpServer
    stood_in: FallbackAudit
    pricing: Pricing
    together: Together
    budgets: Budgets
    leases: Allowances | None
    own_keys: OwnKeys
    key_files: KeyFiles
    alerting: Alerting


def build(world: World, settings: Settings, clock: Clock, gate: AdminGate) -> Inside:
    """Make services and doors, and hand each the few values that it needs."""
    counters = Counters()
    window, trusted = settings.rate_limit_window_ms / 1000, frozenset(settings.trusted_proxies)
    hasher = KeyHasher(derive(world.sealing, "key-digest"))
    identity = Identity(world.people, hasher, clock)
    leases = allowances(world, clock, window, settings.lease_grace_seconds)
    admission = Admission(world.ledger, world.posting, clock, window, leases)
    scopes = Scopes(SqlBudgets(world.database), world.ledger, world.posting, admission, leases)
    budgets = budgets_over(world, scopes, admission, clock, settings.alert_thresholds)
    accounts = Accounts(
        world.people,
        world.ledger,
        world.posting,
        admission,
        identity,
        hasher,
        world.audit,
        clock,
        _default_limits(settings),
    )
    Following(world.people, identity, admission).begin(world.changes)
    models = ModelList(WithAliases(world.catalogue, settings.aliases), world.lineup, world.prices.price, clock)
    health = Health(world.lineup, world.database.ping, world.http.reach, clock)
    stub = StubUpstream(first_byte=settings.first_byte_seconds, idle=settings.idle_seconds)
    stood_in = FallbackAudit(world.audit, clock)
    tells = alerting(world, settings, clock)
    explanations = Explanations(world.catalogue, world.lineup)
    told = Listeners(world.posting.note, stood_in.note, tells.alerts.after(explanations.explain))
    router = Router(router_rules(settings), counters, clock, random.random, asyncio.sleep, told)
    own = own_keys(world, settings, clock)
    files = key_files(settings, own)
    rotating = Rotating(world.people, accounts, budgets, identity, world.audit, clock)
    behind = _behind(world, admission, scopes, Upstreams(world.http, stub), counters, clock, settings, router, own)
    pricing = Pricing(SqlPrices(world.database), world.audit, world.prices, world.catalogue, world.lineup, clock)
    world.changes.listen("price", pricing.hear)
    repricing = Repricing(
        world.ledger, world.posting, world.audit, world.prices, clock, (admission.correct, scopes.correct)
    )
    registry = providers(world, settings, clock, world.http)
    anchors = AuditAnchors(world.audit, tells.notices, settings.audit_anchor_seconds)
    watched = (files.watch,) if settings.own_keys_dir else ()
    registry = registry._replace(watches=(*registry.watches, pricing.watch, anchors.watch, *watched))
    guard, ids = IpGuard(settings.rate_limit_ip_max, window, clock), RequestIds(clock)
    entrance = Entrance(identity, guard, counters, clock, settings.max_body_bytes, trusted)
    together = Together(counters, lambda: _gauges(world, admission, identity), router.snapshot, world.board)
    attempts = AttemptLog(world.attempts, world.posting, clock)
    table = (*operations(accounts, models, health), *of_router(together, attempts, clock), *registry.operations)
    table = (*table, *of_prices(pricing, repricing), *of_budgets(budgets), *of_credentials(own), *of_rotating(rotating))
    table = (*table, *tells.operations, *analytics(world, clock))
    rest = Routes(identity, gate, guard, ids, dialect_of, trusted).application(
        table, models, MetricsPage(together.all), document(table, COMPLETIONS, __version__)
    )
    application = server(behind, entrance, rest, ids, world.outbox)
    return Inside(
        accounts, health, registry, application, stood_in, pricing, together, budgets, leases, own, files, tells
    )


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
    scopes: Scopes,
    upstream: Upstream,
    counters: Counters,
    clock: Clock,
    settings: Settings,
    router: Router,
    own: OwnKeys,
) -> Behind:
    """What answers calls. Embeddings are held by bytes, however the operator bounds prompts: input is all they are."""

    def routing(catalogue: Resolver, dialects: Mapping[str, Dialect], **others: Any) -> Routing:
        return Routing(catalogue, world.lineup, dialects, world.prices.price, clock, aliases=settings.aliases, **others)

    rules = Rules(settings.default_max_output, settings.bytes_per_token, settings.unpriced == "allow")
    spoken = routing(world.catalogue, world.dialects, **substitutes(settings))
    embedding = routing(EmbeddingCatalogue(world.catalogue), EMBEDDINGS)  # vectors of two models do not compare
    strict = rules._replace(bytes_per_token=1)
    completions = Completions(spoken, admission, upstream, counters, clock, rules, router, scopes, own)
    vectors = Completions(embedding, admission, upstream, counters, clock, strict, router, scopes, own)
    embeddings = Embeddings(vectors, embedding)
    return Behind(
        _durable(completions, world.posting),
        _durable(embeddings, world.posting),
        Counting(routing(world.catalogue, world.dialects), admission, upstream, counters, own),  # without substitutes
        Quoting(spoken, completions, admission, clock),
    )


def _durable(answers: Answers, posting: Posting) -> Answers:
    """With the durability "database", answers that wait for their rows."""
    return Committed(answers.answer, posting) if isinstance(posting, CommittingPosting) else answers


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
