"""Opens connections: addresses, proxy tunnels, TLS; the one seam where socket errors become errors of ours."""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

from dominion.domain.errors import NetworkFailure
from dominion.domain.providers import Origin
from dominion.upstream.connection import Connection
from dominion.upstream.proxies import Proxies, Proxy, authority

_PROXY_HEAD = 64 * 1024

Address = tuple[str, int]
Resolve = Callable[[Origin], Awaitable[Sequence[Address]]]
"""Origin to the addresses that may be dialled, in order. What it returns is what is dialled, so a check made here
cannot be outrun by a second look-up. Its DominionErrors pass; OSError means that the name has no address."""


class Dialer:
    """Opens connections to origins, straight or through a proxy. The TLS context is made once, at first need."""

    def __init__(self, tls: Callable[[], ssl.SSLContext], proxies: Proxies, resolve: Resolve | None) -> None:
        self._make_context = tls
        self._context: ssl.SSLContext | None = None
        self._proxies = proxies
        self._resolve = resolve

    async def dial(self, origin: Origin, connection: Connection) -> None:
        """Open `connection` to `origin`. Raises NetworkFailure with `sent` False.

        Behind a proxy the proxy looks the name up, so `resolve` is asked for guarded origins only: their tunnel leads
        to the checked address.
        """
        try:
            proxy = self._proxies.proxy_for(origin)
            if proxy is None:
                await _connect(connection, await self._addresses(origin), *self._secured(origin))
            else:
                place = Origin(origin.scheme, *(await self._addresses(origin))[0]) if origin.guarded else origin
                await self._by_proxy(proxy, origin, place, connection)
            if not connection.open:
                raise unreachable("it closed the connection at once")
        except (OSError, UnicodeError) as error:
            raise unreachable(_reason(error)) from error

    async def _addresses(self, origin: Origin) -> Sequence[Address]:
        return [(origin.host, origin.port)] if self._resolve is None else await self._resolve(origin)

    def _secured(self, origin: Origin) -> tuple[ssl.SSLContext | None, str | None]:
        return (self._tls(), origin.host) if origin.scheme == "https" else (None, None)

    async def _by_proxy(self, proxy: Proxy, origin: Origin, place: Origin, connection: Connection) -> None:
        if origin.scheme == "https":
            await self._tunnel(proxy, origin, place, connection)
        elif place.host == origin.host:
            await _connect(connection, [(proxy.host, proxy.port)])
        else:
            raise unreachable("a proxy would look its name up again, and could be led elsewhere")

    async def _tunnel(self, proxy: Proxy, origin: Origin, place: Origin, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        tunnel = Tunnel(loop)
        transport, _ = await loop.create_connection(lambda: tunnel, proxy.host, proxy.port)
        try:
            await tunnel.ask(transport, proxy, place)
            secured = await loop.start_tls(transport, connection, self._tls(), server_hostname=origin.host)
        except BaseException:
            transport.abort()
            raise
        if secured is not None and not secured.is_closing():
            connection.connection_made(secured)  # start_tls leaves this to the caller

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._make_context()
        return self._context


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel (RFC 9110, 9.3.6). Gives the transport away once the proxy has agreed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._refusal: asyncio.Future[str] = loop.create_future()
        self._head = b""

    async def ask(self, transport: asyncio.Transport, proxy: Proxy, place: Origin) -> None:
        """Returns when the tunnel to `place` stands. Raises NetworkFailure with `sent` False."""
        name = authority(place)
        transport.write(b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (name, name, proxy.authorization))
        if refusal := await self._refusal:
            raise unreachable(refusal)

    def data_received(self, data: bytes) -> None:
        """Collect the head of the proxy's answer; nothing may follow it before we have spoken."""
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(head) > _PROXY_HEAD:
                self._settle("the proxy's answer is too long")
            return
        status = head[9:12].decode("ascii", "replace")
        if not head.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")) or not status.isdecimal() or rest:
            self._settle("the proxy's answer is not HTTP/1.1")
        elif not status.startswith("2"):
            self._settle(f"the proxy refused the tunnel with status {status}")
        else:
            self._settle("")

    def connection_lost(self, _error: Exception | None) -> None:
        """Without an answer this is a refusal."""
        self._settle("the proxy closed the connection")

    def _settle(self, refusal: str) -> None:
        if not self._refusal.done():
            self._refusal.set_result(refusal)


def unreachable(reason: str) -> NetworkFailure:
    """Nothing of the request has left this machine."""
    failure = NetworkFailure(f"The provider cannot be reached: {reason}.")
    failure.sent = False
    return failure


async def _connect(
    connection: Connection, addresses: Sequence[Address], tls: ssl.SSLContext | None = None, name: str | None = None
) -> None:
    """Open `connection` to the first address that answers; `name` is what the certificate must say."""
    loop = asyncio.get_running_loop()
    failure: OSError = socket.gaierror("no address")
    for host, port in addresses:
        try:
            await loop.create_connection(lambda: connection, host, port, ssl=tls, server_hostname=name)
        except ssl.SSLError:
            raise  # it answered; another address of the same name is not more trustworthy
        except OSError as error:
            failure = error
        else:
            return
    raise failure


def _reason(error: OSError | UnicodeError) -> str:
    """A few words that hold no address and nothing of the peer's own making."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason})"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its name has no address"
    return os.strerror(error.errno).lower() if error.errno else "the connection failed"
