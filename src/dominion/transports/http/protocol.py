"""uvicorn's HTTP protocol with four additions: limits on headers, time limits for slow senders, a call when the caller
has gone, and an exchange that writes without ASGI's messages. Everything else is uvicorn's.

A completion spends most of its time in this process between two sockets: each ASGI message costs more than a byte
search through an answer, so the doors of completions use `Cycle` directly (docs/decisions/0017).
"""

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from dominion.domain.people import Principal

MOST_HEADERS = 100
MOST_HEADER_BYTES = 32 * 1024
HEADER_SECONDS = 15.0
BODY_SECONDS = 60.0
KEEP_ALIVE_SECONDS = 75.0
WAITING, HEADERS, BODY, ANSWER = 0, 1, 2, 3
"""Stages of a connection: between two requests, reading one, answering it."""
PATIENCE = {WAITING: KEEP_ALIVE_SECONDS, HEADERS: HEADER_SECONDS, BODY: BODY_SECONDS}
ASGI = {"version": "3.0", "spec_version": "2.3"}

_REFUSED = {
    400: ("invalid_request", "This is not a valid HTTP request.", "Correct the request and send it again."),
    408: ("request_timeout", "The request came too slowly.", "Send the request again on a better connection."),
    431: ("request_too_large", "The request has too many or too large headers.", "Send fewer and shorter headers."),
}
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_CLOSE = b"connection: close\r\n"

Headers = list[tuple[bytes, bytes]]


class Arrival:
    """What uvicorn uses of `asyncio.Event`, for one waiter, and free until somebody waits: bodies are seldom late."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the waiter, or let the next one pass."""
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """The next waiter waits."""
        self._set = False

    async def wait(self) -> None:
        """Return when it is set."""
        while not self._set:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class Cycle(RequestResponseCycle):
    """One request and its answer. Header values must hold no control characters: they are written as they are.

    `scope` has the exchange as `dominion.cycle`; whoever takes it from there breaks the circle between the two.
    """

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer in one write."""
        if self.disconnected:
            return
        head = self._head(status, headers)
        head.append(b"content-length: %d\r\n\r\n" % len(body))
        head.append(body)
        self.transport.write(b"".join(head))
        self._done()

    def begin(self, status: int, headers: Headers) -> None:
        """The head of a stream."""
        if self.disconnected:
            return
        head = self._head(status, headers)
        head.append(_CHUNKED)
        self.transport.write(b"".join(head))

    async def piece(self, chunk: bytes) -> None:
        """More of a stream; waits while the caller reads too slowly."""
        if not self.disconnected:
            self.transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            if self.flow.write_paused:
                await self.flow.drain()

    def end(self, chunk: bytes) -> None:
        """The last of a stream."""
        if self.disconnected:
            return
        self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(chunk), chunk) if chunk else b"0\r\n\r\n")
        self._done()

    def take_body(self) -> bytes | None:
        """The body when all of it is here, without waiting; None: use `receive`."""
        if self.more_body or self.disconnected:
            return None
        body, self.body = bytes(self.body), bytearray()
        self.flow.resume_reading()  # paused by a large body; a caller who hangs up is only seen while reading
        return body

    def _head(self, status: int, headers: Headers) -> list[bytes]:
        self.response_started = True
        self.waiting_for_100_continue = False
        head = [STATUS_LINE[status]]
        for name, value in headers:
            head += (name, b": ", value, b"\r\n")
            if name == b"connection":
                self.keep_alive = False
        if not self.keep_alive:
            head.append(_CLOSE)
        return head

    def _done(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class Identified(msgspec.Struct, frozen=True):
    """Who the last request of a connection was, by which header, and what `Identity.changes` was then."""

    authorization: bytes
    changes: int
    principal: Principal


class GatewayProtocol(HttpToolsProtocol):
    """One connection of a caller. Found by the doors as `scope["dominion.connection"]`."""

    _watched: "asyncio.Task[Any] | None" = None
    _header_bytes = 0
    _too_large = False
    stage = HEADERS
    since = 0.0
    gone = False
    identified: Identified | None = None

    def watch(self, task: "asyncio.Task[Any] | None") -> None:
        """Cancel this task when the caller goes away; None: stop watching."""
        self._watched = task
        if self.gone and task is not None:
            task.cancel()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller who connects must begin to speak."""
        super().connection_made(transport)
        self.stage, self.since = HEADERS, self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has gone: whatever runs for them must stop."""
        self.gone = True
        self.stage = ANSWER
        super().connection_lost(exc)
        if self._watched is not None:
            self._watched.cancel()
            self._watched = None

    def data_received(self, data: bytes) -> None:
        """Start the clock of a request at its first byte."""
        if self.stage == WAITING:
            self.stage, self.since = HEADERS, self.loop.time()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A new request; its scope is made when the headers are here."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_url(self, url: bytes) -> None:
        """The address of a request counts with its headers."""
        self.url += url
        self._header_bytes = len(self.url)
        if self._header_bytes > MOST_HEADER_BYTES:
            self._overflow()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Refuse too many or too large headers while they arrive."""
        name = name.lower()
        self.headers.append((name, value))
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MOST_HEADER_BYTES or len(self.headers) > MOST_HEADERS:
            self._overflow()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        """As uvicorn's, with our exchange, and without its limits and upgrades, which we do not use."""
        self.stage, self.since = BODY, self.loop.time()
        self._make_scope()
        before = self.cycle
        self.cycle = cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=[],
            message_event=Arrival(),  # type: ignore[arg-type]
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self.scope["dominion.cycle"] = cycle  # type: ignore[typeddict-unknown-key]
        if before is None or before.response_complete:  # type: ignore[redundant-expr]  # uvicorn begins with None
            self._start_asgi_task(cycle, self.app)
        else:  # a pipelined request waits for its turn
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _make_scope(self) -> None:
        """The ASGI scope, and in it what our own doors need."""
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": ASGI,
            "http_version": self.parser.get_http_version(),
            "method": self.parser.get_method().decode("ascii"),
            "scheme": self.scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
            "state": {},
            "dominion.connection": self,
        }
        self.scope = scope  # type: ignore[assignment]  # uvicorn's typed dict has no place for the last one

    def on_message_complete(self) -> None:
        """The request is here in full."""
        self.stage = ANSWER
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer for each answer: `sweep` closes connections that wait too long."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.stage == ANSWER:
            self.stage, self.since = WAITING, self.loop.time()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """An error the parser found, as JSON."""
        self.refuse(431 if self._too_large else 400)

    def refuse(self, status: int) -> None:
        """Answer without an application, and close."""
        if self.transport.is_closing():
            return
        code, message, action = _REFUSED[status]
        body = msgspec.json.encode({"error": code, "message": message, "action": action})
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()

    def _overflow(self) -> None:
        self._too_large = True
        raise _HeadersTooLarge

    def sweep(self, now: float) -> None:
        """Close the connection of a sender that is too slow, or has nothing more to say. `now`: the loop's time."""
        if now - self.since < PATIENCE.get(self.stage, now):
            return
        if self.stage == WAITING:
            self.transport.close()
        else:
            self.refuse(408)


class _HeadersTooLarge(Exception):
    """Stops the parser."""
