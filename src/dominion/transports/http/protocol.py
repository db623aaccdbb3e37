"""uvicorn's HTTP protocol with four additions: limits on headers, time limits for slow senders, a call when the caller
has gone, and a road past ASGI for the doors of calls (`cycle`). Everything else is uvicorn's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import unquote

import httptools
import msgspec
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from dominion.domain.contracts import Outbox
from dominion.transports.http.cycle import Cycle, Identified

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


Answer = Callable[[Cycle], Awaitable[None]]


class Application(Protocol):
    """What answers: calls by the doors, everything else through ASGI.

    `doors` are those whose address says all, as it stands in the request line.
    """

    doors: Mapping[bytes, Answer]
    outbox: Outbox

    def door(self, method: bytes, path: str, query: bytes) -> Answer | None:
        """The door of an address that is not one of `doors`; None: ask through ASGI."""

    def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]
    ) -> Awaitable[None]:
        """The ASGI application."""


class GatewayProtocol(HttpToolsProtocol):
    """One connection of a caller. While it is `leaving`, the last request that has come on it ends it."""

    app: Application

    _watched: "asyncio.Task[Any] | None" = None
    _header_bytes = 0
    _too_large = False
    stage = HEADERS
    since = 0.0
    gone = False
    leaving = False
    identified: Identified | None = None

    def watch(self, task: "asyncio.Task[Any] | None") -> None:
        """Cancel this task when the caller goes away; None: stop watching."""
        self._watched = task
        if self.gone and task is not None:
            task.cancel()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller who connects must begin to speak."""
        super().connection_made(transport)
        self.outbox = self.app.outbox
        self.stage, self.since = HEADERS, self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has gone: whatever runs for them must stop."""
        self.gone = True
        self.stage = ANSWER
        super().connection_lost(exc)
        if self._watched is not None:
            self._watched.cancel()
            self._watched = None

    def shutdown(self) -> None:
        """Close when the request under way is answered; what was answered must leave first."""
        self.outbox.flush()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Start the clock of a request at its first byte."""
        if self.stage == WAITING:
            self.stage, self.since = HEADERS, self.loop.time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.refuse(431 if self._too_large else 400)
        except httptools.HttpParserUpgrade:
            pass  # the request is answered as if it had not asked for another protocol

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
        """Begin to answer, or wait until the request before has been answered."""
        self.stage, self.since = BODY, self.loop.time()
        answer: Any = self.app.doors.get(self.url)
        cycle: Any
        if answer is not None:
            cycle = self._cycle(self.url.decode("ascii"), b"")
        else:
            url = httptools.parse_url(self.url)
            raw, query = url.path or b"", url.query or b""
            path = unquote(raw.decode("ascii"))
            answer = self.app.door(self.parser.get_method(), path, query)
            if answer is not None:
                cycle = self._cycle(path, query)
            else:
                cycle, answer = self._asgi_cycle(raw, path, query), self.app
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:  # type: ignore[redundant-expr]  # uvicorn begins with None
            self._start_asgi_task(cycle, answer)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, answer))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if self.leaving and not self.pipeline:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    def _cycle(self, path: str, query: bytes) -> Cycle:
        parser = self.parser
        return Cycle(
            self,
            parser.get_method(),
            path,
            query,
            self.headers,
            keep_alive=parser.should_keep_alive(),
            expects=self.expect_100_continue,
        )

    def _asgi_cycle(self, raw: bytes, path: str, query: bytes) -> RequestResponseCycle:
        """As uvicorn's, without its limits and upgrades, which we do not use."""
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": ASGI,
            "http_version": self.parser.get_http_version(),
            "method": self.parser.get_method().decode("ascii"),
            "scheme": self.scheme,
            "path": path,
            "raw_path": raw,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
            "state": {},
        }
        return RequestResponseCycle(
            scope=scope,  # type: ignore[arg-type]  # uvicorn's typed dict is a dict
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )

    def on_body(self, body: bytes) -> None:
        """More of the body."""
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is here in full."""
        self.stage = ANSWER
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

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

    def refuse(self, status: int) -> None:
        """Answer without an application, and close."""
        self.outbox.flush()
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
