"""The doors of calls: an HTTP request in a dialect becomes a call, its answer goes back the way it came."""

import asyncio
import hmac
import itertools
import logging
import secrets
from collections.abc import MutableMapping
from typing import Any, NamedTuple, Protocol

from dominion.domain.contracts import Call, Clock, Reply
from dominion.domain.errors import DominionError, Internal, ShuttingDown
from dominion.domain.people import Principal
from dominion.services.counters import Counters
from dominion.services.identity import Identity
from dominion.transports.http.guard import IpGuard
from dominion.transports.http.protocol import Cycle, GatewayProtocol, Identified
from dominion.transports.http.reply import HttpReply
from dominion.transports.http.request import CallerGone, Headers, address_of, check_json, key_of, read_body
from dominion.wire.fields import read_fields

LOG = logging.getLogger("dominion.http")
STRICT = b"x-dominion-strict"


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

    async def __call__(self, scope: MutableMapping[str, Any], cycle: Cycle, reply: HttpReply) -> None:
        """Answer one request. Never raises."""
        connection: GatewayProtocol = scope["dominion.connection"]
        try:
            call = await self._read(scope, connection, cycle, reply)
            connection.watch(asyncio.current_task(connection.loop))
            await self._answers.answer(call, reply)
        except DominionError as error:
            self._counters.refused[error.code] += 1
            await reply.fail(error, close=cycle.more_body)  # whose rest nobody will read
        except CallerGone:
            pass
        except asyncio.CancelledError:
            if not connection.gone:  # the drain's time is over
                await reply.fail(ShuttingDown("The gateway is shutting down."))
        except Exception:
            LOG.exception("%s: a defect of the gateway", reply.request_id)
            await reply.fail(Internal("Something went wrong inside the gateway."))
        finally:
            connection.watch(None)

    async def _read(
        self, scope: MutableMapping[str, Any], connection: GatewayProtocol, cycle: Cycle, reply: HttpReply
    ) -> Call:
        """Guard, identify, read. The key is checked before the body is taken in."""
        received = self._clock.monotonic()
        headers: Headers = dict(scope["headers"])
        if self._guard.limits:
            self._guard.check(address_of(scope, headers, self._trusted))
        principal = self._same_as_before(connection, headers) or await self._identify(connection, headers)
        check_json(headers, self._largest_body)
        body = cycle.take_body()
        if body is None:
            body = await read_body(cycle.receive, self._largest_body)
        dialect = reply.door
        return Call(
            id=reply.request_id,
            door=dialect,
            fields=read_fields(body),
            size=len(body),
            principal=principal,
            received=received,
            carried={name: headers[name] for name in dialect.carried_headers if name in headers},
            strict=headers.get(STRICT, b"").lower() == b"true",
        )

    def _same_as_before(self, connection: GatewayProtocol, headers: Headers) -> Principal | None:
        """Who the last request of this connection was, when this one carries the same key and nobody's rights have
        changed since."""
        before = connection.identified
        if before is None or before.changes != self._identity.changes or b"x-api-key" in headers:
            return None
        same = hmac.compare_digest(before.authorization, headers.get(b"authorization", b""))
        return before.principal if same else None

    async def _identify(self, connection: GatewayProtocol, headers: Headers) -> Principal:
        """Who is calling. Raises InvalidRequest, Unauthenticated, Forbidden."""
        token, changes = key_of(headers), self._identity.changes
        principal = self._identity.recognise(token) or await self._identity.identify(token)
        if b"x-api-key" not in headers:
            connection.identified = Identified(headers.get(b"authorization", b""), changes, principal)
        return principal
