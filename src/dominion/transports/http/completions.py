"""The doors of calls: an HTTP request in a dialect becomes a call, its answer goes back the way it came."""

import asyncio
import hmac
import itertools
import logging
import secrets
from typing import NamedTuple, Protocol

from dominion.domain.contracts import Call, Clock, Reply
from dominion.domain.errors import DominionError, Internal, ShuttingDown
from dominion.domain.people import Principal
from dominion.services.accounts.identity import Identity
from dominion.services.figures.counters import Counters
from dominion.transports.http.cycle import Connection, Cycle, Identified
from dominion.transports.http.guard import IpGuard
from dominion.transports.http.own_keys import API_KEY, PROVIDER_KEY, passed_keys
from dominion.transports.http.reply import HttpReply
from dominion.transports.http.request import Headers, address_of, check_json, key_of, label, max_cost
from dominion.wire.fields import read_fields
from dominion.wire.native.dialect import NATIVE

LOG = logging.getLogger("dominion.http")
STRICT, ASK, ACCEPT = b"x-dominion-strict", b"x-dominion-ask", b"x-dominion-accept"
MAX_COST = b"x-dominion-max-cost"
CUSTOMER, RUN = b"x-dominion-customer", b"x-dominion-run"


class RequestIds:
    """Ids that are unique over processes and restarts, and cost no randomness per request."""

    def __init__(self, clock: Clock) -> None:
        self._prefix = f"req_{int(clock.now()):x}{secrets.token_hex(4)}_"
        self._count = itertools.count(1)

    def next(self) -> str:
        """The next id."""
        return f"{self._prefix}{next(self._count):x}"


class Answers(Protocol):
    """What stands behind a door: completions, embeddings, or the counting of tokens."""

    async def answer(self, call: Call, reply: Reply) -> None:
        """Answer one call. Raises a DominionError; when the task is cancelled the caller has gone."""


class Entrance(NamedTuple):
    """What every door needs. `largest_body` bytes."""

    identity: Identity
    guard: IpGuard
    counters: Counters
    clock: Clock
    largest_body: int
    trusted_proxies: frozenset[str]


class CallDoor:
    """Answers POST requests of every dialect with what `answers` knows."""

    def __init__(self, answers: Answers, entrance: Entrance) -> None:
        self._answers = answers
        self._identity = entrance.identity
        self._guard = entrance.guard
        self._counters = entrance.counters
        self._clock = entrance.clock
        self._largest_body = entrance.largest_body
        self._trusted = entrance.trusted_proxies

    async def __call__(self, cycle: Cycle, reply: HttpReply) -> None:
        """Answer one request. Never raises."""
        connection = cycle.connection
        connection.watch(asyncio.current_task())
        try:
            await self._answers.answer(await self._read(cycle, reply), reply)
        except DominionError as error:
            self._counters.refused[error.code] += 1
            await reply.fail(error, close=cycle.more_body)  # whose rest nobody will read
        except asyncio.CancelledError:
            if not connection.gone:  # the drain's time is over
                await reply.fail(ShuttingDown("The gateway is shutting down."))
        except Exception:
            LOG.exception("%s: a defect of the gateway", reply.request_id)
            await reply.fail(Internal("Something went wrong inside the gateway."))
        finally:
            connection.watch(None)

    async def _read(self, cycle: Cycle, reply: HttpReply) -> Call:
        """Guard, identify, read. The key is checked before the body is taken in."""
        received, connection = self._clock.monotonic(), cycle.connection
        headers: Headers = dict(cycle.headers)
        if self._guard.limits:
            self._guard.check(address_of(connection.client, headers, self._trusted))
        principal = self._same_as_before(connection, headers) or await self._identify(connection, headers)
        check_json(headers, self._largest_body)
        body = await cycle.take_body(self._largest_body)
        dialect, fields, passed = reply.door, read_fields(body), None
        if PROVIDER_KEY in headers or (dialect is NATIVE and API_KEY in fields):
            passed = passed_keys(cycle.headers, fields, native=dialect is NATIVE)
        return Call(
            id=reply.request_id,
            door=dialect,
            fields=fields,
            size=len(body),
            principal=principal,
            received=received,
            carried={name: headers[name] for name in dialect.carried_headers if name in headers},
            strict=headers.get(STRICT, b"").lower() == b"true",
            ask=ASK in headers and headers[ASK].lower() == b"true",
            accept=headers[ACCEPT].decode("latin-1") if ACCEPT in headers else "",
            max_nano=max_cost(headers[MAX_COST]) if MAX_COST in headers else None,
            customer=label(headers, CUSTOMER) if CUSTOMER in headers else "",
            run=label(headers, RUN) if RUN in headers else "",
            passed=passed,
        )

    def _same_as_before(self, connection: Connection, headers: Headers) -> Principal | None:
        """Who the last request of this connection was, when this one carries the same key and nobody's rights have
        changed since."""
        before = connection.identified
        if before is None or before.changes != self._identity.changes or b"x-api-key" in headers:
            return None
        same = hmac.compare_digest(before.authorization, headers.get(b"authorization", b""))
        return before.principal if same else None

    async def _identify(self, connection: Connection, headers: Headers) -> Principal:
        """Who is calling. Raises InvalidRequest, Unauthenticated, Forbidden."""
        token, changes = key_of(headers), self._identity.changes
        principal = self._identity.recognise(token) or await self._identity.identify(token)
        if b"x-api-key" not in headers and principal.expires_at is None:
            connection.identified = Identified(headers.get(b"authorization", b""), changes, principal)
        return principal
