"""uvicorn's HTTP protocol with three additions: limits on headers, time limits for slow senders, and a call when the
caller has gone. Everything else is uvicorn's."""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEADERS = 100
MOST_HEADER_BYTES = 32 * 1024
HEADER_SECONDS = 15.0
BODY_SECONDS = 60.0
IDLE, HEADERS, BODY = 0, 1, 2

_REFUSED = {
    400: ("invalid_request", "This is not a valid HTTP request.", "Correct the request and send it again."),
    408: ("request_timeout", "The request came too slowly.", "Send the request again on a better connection."),
    431: ("request_too_large", "The request has too many or too large headers.", "Send fewer and shorter headers."),
}
_PHRASE = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class GatewayProtocol(HttpToolsProtocol):
    """One connection of a caller. Found by the doors as `scope["dominion.connection"]`."""

    _watched: "asyncio.Task[Any] | None" = None
    _header_bytes = 0
    stage = IDLE
    since = 0.0
    gone = False

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
        self.stage = IDLE
        super().connection_lost(exc)
        if self._watched is not None:
            self._watched.cancel()
            self._watched = None

    def data_received(self, data: bytes) -> None:
        """Start the clock of a request at its first byte."""
        if self.stage == IDLE and self.cycle.response_complete:
            self.stage, self.since = HEADERS, self.loop.time()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A new request on this connection."""
        super().on_message_begin()
        self.stage, self.since = HEADERS, self.loop.time()
        self._header_bytes = 0
        self.scope["dominion.connection"] = self  # type: ignore[typeddict-unknown-key]

    def on_url(self, url: bytes) -> None:
        """Count the address with the headers."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Refuse too many or too large headers while they arrive."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MOST_HEADER_BYTES or len(self.headers) >= MOST_HEADERS:
            raise _HeadersTooLarge

    def on_headers_complete(self) -> None:
        """The body's clock starts."""
        self.stage, self.since = BODY, self.loop.time()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is here in full."""
        self.stage = IDLE
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """An error the parser found, as JSON."""
        self.refuse(431 if self._too_large() else 400)

    def refuse(self, status: int) -> None:
        """Answer without an application, and close."""
        if self.transport.is_closing():
            return
        code, message, action = _REFUSED[status]
        body = msgspec.json.encode({"error": code, "message": message, "action": action})
        head = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, _PHRASE[status], len(body)) + body)
        self.transport.close()

    def _too_large(self) -> bool:
        return self._header_bytes > MOST_HEADER_BYTES or len(self.headers or ()) >= MOST_HEADERS

    def sweep(self, now: float) -> None:
        """Close the connection of a sender that is too slow. `now` is the loop's time."""
        if self.stage == IDLE or now - self.since < (HEADER_SECONDS if self.stage == HEADERS else BODY_SECONDS):
            return
        self.refuse(408)


class _HeadersTooLarge(Exception):  # noqa: N818 - it never leaves this file: httptools wraps it in its own error
    """Stops the parser."""
