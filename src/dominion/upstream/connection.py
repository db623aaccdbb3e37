"""One connection to a provider: writes requests, cuts answers out of the bytes; knows no pool, no address, no retry."""

import asyncio
from typing import Protocol

import httptools

from dominion.domain.errors import NetworkFailure, ProviderError, ProviderTimeout, UnexpectedResponse
from dominion.upstream.bounds import Ceilings, Timeouts
from dominion.upstream.exchange import HttpExchange
from dominion.upstream.inflate import Inflater
from dominion.upstream.outbox import Outbox

_INTERIM = frozenset(range(100, 200)) - {101}  # 101 would be another protocol from here on
_FINAL = range(200, 600)
_BODYLESS = (204, 304)


class Keeper(Protocol):
    """Who owns a connection. Every call is synchronous."""

    def opened(self, connection: "Connection") -> None:
        """The socket is open."""

    def free(self, connection: "Connection") -> None:
        """A whole answer has been read and nothing else; the connection can carry another."""

    def gone(self, connection: "Connection") -> None:
        """The connection will carry nothing more."""

    def lost(self, connection: "Connection") -> None:
        """The socket is closed."""


class Connection(asyncio.Protocol):
    """An HTTP/1.1 connection that carries one exchange at a time.

    It is given back only when the answer is whole, nothing came behind it, the server did not say close and the whole
    request has left; in every other case it is cut. `open` is False before the socket is open and after the cut.
    """

    __slots__ = (
        "_asked",
        "_bare",
        "_ceilings",
        "_headers",
        "_heard",
        "_interim",
        "_keep",
        "_keeper",
        "_loop",
        "_now",
        "_outbox",
        "_parser",
        "_parts",
        "_quiet",
        "_room",
        "_served",
        "_transport",
        "_unsent",
        "_whole",
        "exchange",
        "on_body",
        "open",
    )

    def __init__(self, keeper: Keeper, loop: asyncio.AbstractEventLoop, ceilings: Ceilings, outbox: Outbox) -> None:
        self._keeper = keeper
        self._loop = loop
        self._now = loop.time
        self._ceilings = ceilings
        self._outbox = outbox
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._parts: list[bytes] = []
        self.on_body = self._parts.append  # called by the parser; spares a Python call for each piece of body
        self._headers: dict[bytes, bytes] = {}
        self._room = 0  # header and trailer lines that may still come
        self._interim = 0  # 1xx answers so far
        self._quiet = 0  # bytes since the request or since the last piece of body
        self._bare = False  # neither length nor chunks: the body ends with the connection
        self._keep = False  # the server will carry another exchange
        self._whole = False
        self._unsent = False  # the request is in the outbox
        self._served = 0
        self._asked = self._heard = 0.0
        self.exchange: HttpExchange | None = None
        self.open = False

    def ask(self, request: bytes, deadline: float) -> HttpExchange:
        """Write a request in one piece; the answer comes through the exchange. `deadline` in loop time."""
        self.exchange = exchange = HttpExchange(self, self._loop, deadline)
        self._asked = self._now()
        self._headers = {}
        self._room = self._ceilings.header_count
        self._interim = self._quiet = 0
        self._bare = self._whole = False
        self._unsent = True
        self._outbox.put(self._write, request)
        return exchange

    def cut(self) -> None:
        """Close at once; the exchange under way, if any, hears nothing of it. Idempotent."""
        if self.open:
            self.open = False
            self.exchange = None
            self._keeper.gone(self)
            self._transport.abort()

    def fail(self, failure: ProviderError) -> None:
        """Close at once; the exchange under way, if any, ends with `failure`. Idempotent."""
        exchange = self.exchange
        self.cut()
        if exchange is not None:
            exchange.fail(failure)

    def resume(self) -> None:
        """Read on. The silence while reading was paused was ours."""
        self._heard = self._now()
        self._transport.resume_reading()

    def expire(self, now: float, timeouts: Timeouts) -> None:
        """Cut the connection when one of its times has run out; `now` in loop time."""
        exchange = self.exchange
        if exchange is None:
            if now - self._heard >= timeouts.keep_alive:
                self.cut()
        elif now >= exchange.deadline:
            self.fail(ProviderTimeout(f"The provider's answer was not whole within {timeouts.total:g} s."))
        elif not exchange.status:
            if now - self._asked >= timeouts.first_byte:
                self.fail(ProviderTimeout(f"The provider did not begin to answer within {timeouts.first_byte:g} s."))
        elif now - self._heard >= timeouts.idle and not exchange.paused:
            self.fail(ProviderTimeout(f"The provider fell silent for {timeouts.idle:g} s inside its answer."))

    def _write(self, request: bytes) -> None:
        self._unsent = False
        if self.open:  # else whoever asked has gone, and nothing was sent
            self._transport.write(request)

    # --- called by the event loop ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open and, if it is to be, encrypted."""
        self._transport = transport  # type: ignore[assignment]  # asyncio gives a full transport to a Protocol
        self._parser = httptools.HttpResponseParser(self)
        self._heard = self._now()
        self.open = True
        self._keeper.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came, hand it over, and wake the exchange at most once."""
        exchange = self.exchange
        if exchange is None or self._unsent:
            self._break()  # nobody asked yet; whatever it is, it must not be taken for an answer
            return
        self._heard = self._now()
        self._quiet += len(data)
        failure = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            failure = _refusal(error)
        parts = self._parts
        if parts:
            self._quiet = 0
            exchange.receive(parts[0] if len(parts) == 1 else b"".join(parts))
            parts.clear()
        if self._whole:
            self._finish(exchange, reusable=self._keep and failure is None)
        elif failure is not None:
            self.fail(failure)
        elif self._quiet > self._ceilings.header_bytes:
            self.fail(UnexpectedResponse("The provider's answer has more header bytes than allowed."))
        elif exchange.status:
            if exchange.size > self._ceilings.buffered and not exchange.paused:
                exchange.paused = True
                self._transport.pause_reading()
            exchange.wake()

    def eof_received(self) -> None:
        """The server has closed its side; ours follows. Over TLS a cut by a third party looks the same."""
        exchange = self.exchange
        if exchange is not None and exchange.status and self._bare:
            self._finish(exchange, reusable=False)
        else:
            self._break()

    def connection_lost(self, _error: Exception | None) -> None:
        """The socket is closed, by whichever side. TLS may report it twice, or before the connection was made."""
        self._break()
        self._parser = None  # type: ignore[assignment]  # it refers back to this connection, and is of no more use
        self._keeper.lost(self)

    # --- called by the parser, inside data_received ---------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of an answer. A second one to the same request stops the parser."""
        if self._whole:
            raise UnexpectedResponse("The provider sent more than one answer.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line, or a trailer: those are counted and forgotten."""
        self._room -= 1
        if self._room < 0:
            raise UnexpectedResponse("The provider's answer has more header lines than allowed.")
        name = name.lower()
        headers = self._headers
        headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        """The head is there: decide how the body ends and whether it must be decoded."""
        headers = self._headers
        self._headers = {}
        status = self._parser.get_status_code()
        if status not in _FINAL:
            self._skip(status)
            return
        # Only a large first read makes the exact count necessary.
        if self._quiet > self._ceilings.header_bytes and _weight(headers) > self._ceilings.header_bytes:
            raise UnexpectedResponse("The provider's answer has more header bytes than allowed.")
        coding = headers.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            raise UnexpectedResponse("The provider's answer has an unknown transfer-encoding.")
        self._bare = coding is None and b"content-length" not in headers and status not in _BODYLESS
        self._keep = self._parser.should_keep_alive()
        inflater = _inflater(headers, self._ceilings) if b"content-encoding" in headers else None
        if self.exchange is not None:
            self.exchange.begin(status, headers, inflater)

    def on_message_complete(self) -> None:
        """The end of an answer, if it is not an interim one."""
        self._whole = self.exchange is not None and self.exchange.status != 0

    # --- own steps ------------------------------------------------------------------------------------------------

    def _skip(self, status: int) -> None:
        self._interim += 1
        if status not in _INTERIM or self._interim > self._ceilings.interim:
            raise UnexpectedResponse("The provider's answer has an unknown status, or too many interim ones.")

    def _finish(self, exchange: HttpExchange, *, reusable: bool) -> None:
        """The answer is whole. Free the connection before the exchange wakes, so that the next request finds it."""
        self.exchange = None
        self._served += 1
        if reusable and not exchange.paused and not self._transport.get_write_buffer_size():
            self._keeper.free(self)
        else:
            self.cut()
        exchange.finish()

    def _break(self) -> None:
        exchange = self.exchange
        if exchange is not None:
            failure = NetworkFailure("The connection to the provider broke before its answer was whole.")
            failure.unanswered = self._quiet == 0 and exchange.status == 0
            exchange.stale = failure.unanswered and self._served > 0
            self.fail(failure)
        self.cut()


def _weight(headers: dict[bytes, bytes]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.items())


def _inflater(headers: dict[bytes, bytes], ceilings: Ceilings) -> Inflater | None:
    """The decoder of the body; takes away the headers that are no longer true once it is decoded."""
    encoding = headers.pop(b"content-encoding").lower()
    if encoding in (b"", b"identity"):
        return None
    headers.pop(b"content-length", None)
    return Inflater(encoding, ceilings)


def _refusal(error: httptools.HttpParserError) -> ProviderError:
    """What stopped the parser: our own verdict in a callback, or bytes that are not HTTP.

    The parser's reasons are fixed sentences that quote nothing of the answer. Anything else that a callback raised is
    a defect of ours and must be seen.
    """
    verdict = error.__context__
    if isinstance(verdict, ProviderError):
        return verdict
    if isinstance(error, httptools.HttpParserCallbackError) and verdict is not None:
        raise verdict
    return UnexpectedResponse(f"The provider's answer is not HTTP/1.1: {error}.")
