"""Sends requests to providers over kept connections; never follows a redirect and never reads the environment."""

import asyncio
import ssl
from collections.abc import Callable

from dominion.domain.errors import NetworkFailure, ProviderTimeout, ShuttingDown
from dominion.domain.providers import Origin, Target
from dominion.upstream.bounds import Ceilings, Counters, Timeouts
from dominion.upstream.connection import Connection
from dominion.upstream.dial import Dialer, Resolve
from dominion.upstream.exchange import HttpExchange
from dominion.upstream.lane import Lane
from dominion.upstream.outbox import Outbox
from dominion.upstream.proxies import Proxies, through
from dominion.upstream.watch import Watch


class HttpUpstream:
    """Implements `dominion.domain.contracts.Upstream` over HTTP/1.1. Belongs to the event loop that uses it first.

    `tls` makes the context for https, once; the default trusts what the system trusts. `resolve` may check addresses
    before they are dialled (see `dominion.upstream.dial.Resolve`). `outbox` may be shared with the callers' side.
    `counters` are for metrics to read.
    """

    def __init__(
        self,
        timeouts: Timeouts = Timeouts(),  # noqa: B008  # frozen
        ceilings: Ceilings = Ceilings(),  # noqa: B008  # frozen
        *,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        proxies: Proxies | None = None,
        resolve: Resolve | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self.counters = Counters()
        self._timeouts = timeouts
        self._ceilings = ceilings
        self._proxies = proxies or Proxies()
        self._dialer = Dialer(tls, self._proxies, resolve)
        self._outbox = outbox or Outbox()
        self._lanes: dict[Origin, Lane] = {}
        self._loop: asyncio.AbstractEventLoop
        self._watch: Watch | None = None
        self._closed = False

    async def send(self, target: Target, body: bytes, extra: bytes = b"") -> HttpExchange:
        """Send one request; `extra` are further header lines, each ended by CRLF.

        Returns when the head of the answer is there, whatever its status. Raises NetworkFailure and ProviderTimeout
        (with `sent`), UnexpectedResponse, and ShuttingDown after `aclose`. When the awaiting task is cancelled the
        connection is cut at once.

        A kept connection that breaks before any byte of an answer is tried once more on another: most likely the
        server closed it for idleness while the request was on its way, unread (RFC 9112, 9.3.1). A server that read
        the request and then died in silence would see it twice; one answer at most is ever delivered and paid for here.
        """
        lane = self._lanes.get(target.origin) or self._lane(target.origin)
        head = target.head if lane.via is None else through(lane.via, target.origin, target.head)
        request = b"".join((head, extra, b"content-length: %d\r\n\r\n" % len(body), body))
        deadline = self._loop.time() + self._timeouts.total
        if lane.idle:
            self.counters.reused += 1
            connection = lane.idle.pop()
        else:
            connection = await self._connection(lane, deadline)
        exchange = connection.ask(request, deadline)
        await exchange.arrival()
        if exchange.stale:
            exchange = await self._again(lane, exchange, request, deadline)
        if not exchange.status and exchange.failure is not None:
            raise exchange.failure
        return exchange

    async def reach(self, origin: Origin) -> None:
        """Whether a connection to `origin` can be opened, TLS included; sends nothing. Raises as `send`."""
        lane = self._lanes.get(origin) or self._lane(origin)
        if not lane.idle:
            connection = await self._connection(lane, self._loop.time() + self._timeouts.total)
            connection.cut()

    async def aclose(self, grace: float = 0.0) -> None:
        """Take no new requests, let those under way end for `grace` seconds, cut the rest; no socket is left open."""
        self._closed = True
        for lane in self._lanes.values():
            lane.close()
        self._lanes.clear()
        if self._watch is None:
            return
        try:
            async with asyncio.timeout(grace):
                await self._watch.none_left()
        except TimeoutError:
            self._watch.cut_all()
            await self._watch.none_left()

    def _lane(self, origin: Origin) -> Lane:
        self._check_open()
        if self._watch is None:
            self._loop = asyncio.get_running_loop()
            self._watch = Watch(self._loop, self._timeouts)
        via = self._proxies.proxy_for(origin) if origin.scheme == "http" else None
        lane = self._lanes[origin] = Lane(origin, via, self._loop, self._ceilings, self._watch, self._outbox)
        return lane

    async def _again(self, lane: Lane, first: HttpExchange, request: bytes, deadline: float) -> HttpExchange:
        self.counters.retried += 1
        try:
            connection = await self._connection(lane, deadline)
        except ShuttingDown:
            return first
        except (NetworkFailure, ProviderTimeout) as error:
            error.sent = True  # the first try may have reached the provider
            raise
        exchange = connection.ask(request, deadline)
        await exchange.arrival()
        if isinstance(exchange.failure, NetworkFailure):
            exchange.failure.unanswered = False  # it was asked twice; whoever asks again must not count on luck
        return exchange

    async def _connection(self, lane: Lane, deadline: float) -> Connection:
        """An open connection that is not taken from the idle ones. Raises what `Dialer.dial` does, ProviderTimeout."""
        due = min(self._loop.time() + self._timeouts.connect, deadline)
        try:
            async with asyncio.timeout_at(due):
                connection = await lane.acquire()
                if connection.open:
                    self.counters.reused += 1
                else:
                    await self._dial(lane, connection)
                return connection
        except TimeoutError as error:
            failure = ProviderTimeout(f"No connection to the provider within {self._timeouts.connect:g} s.")
            failure.sent = False
            raise failure from error

    async def _dial(self, lane: Lane, connection: Connection) -> None:
        try:
            self._check_open()
            await self._dialer.dial(lane.origin, connection)
            self._check_open()
        except BaseException:
            connection.cut()
            lane.gone(connection)
            lane.lost(connection)  # uvloop reports no loss when the dialling is cancelled at its very end
            raise
        self.counters.opened += 1

    def _check_open(self) -> None:
        if self._closed:
            raise ShuttingDown("This gateway is shutting down.")
