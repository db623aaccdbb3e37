"""One request at a door of calls, and its answer, without ASGI: each of its messages costs more than a byte search
through an answer (docs/decisions/0017). Never decides what is answered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from dominion.domain.contracts import Outbox
from dominion.domain.errors import TooLarge
from dominion.domain.people import Principal

Headers = list[tuple[bytes, bytes]]
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Identified:
    """Who the last request of a connection was, by which header, and what `Identity.changes` was then."""

    __slots__ = ("authorization", "changes", "principal")

    def __init__(self, authorization: bytes, changes: int, principal: Principal) -> None:
        self.authorization = authorization
        self.changes = changes
        self.principal = principal


class Connection(Protocol):
    """The caller's connection. `gone`: the caller has left. `identified` by an earlier request, None: not yet."""

    transport: asyncio.Transport
    flow: FlowControl
    outbox: Outbox
    client: tuple[str, int] | None
    gone: bool
    identified: Identified | None

    def watch(self, task: "asyncio.Task[Any] | None") -> None:
        """Cancel this task when the caller goes away; None: stop watching."""

    def on_response_complete(self) -> None:
        """The next request may be answered."""


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

    async def wait(self) -> None:
        """Return when it is set, and take it back."""
        while not self._set:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._set = False


class Cycle:
    """Where uvicorn has its `RequestResponseCycle`. Header values must hold no control characters: they are written as
    they are.

    `path` is decoded, `query` raw. uvicorn's protocol fills `body` until `more_body` is False; `disconnected` says that
    the caller has left before the answer was complete.
    """

    __slots__ = (
        "_expects",
        "body",
        "connection",
        "disconnected",
        "headers",
        "keep_alive",
        "message_event",
        "method",
        "more_body",
        "path",
        "query",
        "response_complete",
        "response_started",
    )

    def __init__(
        self,
        connection: Connection,
        method: bytes,
        path: str,
        query: bytes,
        headers: Headers,
        *,
        keep_alive: bool,
        expects: bool,
    ) -> None:
        self.connection = connection
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.keep_alive = keep_alive
        self._expects = expects
        self.body = bytearray()
        self.more_body = True
        self.message_event = Arrival()
        self.disconnected = False
        self.response_started = False
        self.response_complete = False

    def run_asgi(self, answer: "Callable[[Cycle], Awaitable[None]]") -> Awaitable[None]:
        """What uvicorn makes a task of."""
        return answer(self)

    # --- the request

    async def take_body(self, limit: int) -> bytes:
        """The body. Raises TooLarge; when the caller leaves meanwhile the connection cancels who waits here."""
        while self.more_body and len(self.body) <= limit:
            if self._expects:
                self._expects = False
                self.connection.transport.write(_CONTINUE)
            self.connection.flow.resume_reading()
            await self.message_event.wait()
        if len(self.body) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        body, self.body = bytes(self.body), bytearray()
        self.connection.flow.resume_reading()  # paused by a large body; a caller who leaves is only seen while reading
        return body

    # --- the answer

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer in one write."""
        if not self.disconnected:
            head = self._head(status, headers)
            head.append(b"content-length: %d\r\n\r\n" % len(body))
            head.append(body)
            self.connection.outbox.put(self._write, b"".join(head))
            self._done()

    def begin(self, status: int, headers: Headers) -> None:
        """The head of a stream."""
        if not self.disconnected:
            head = self._head(status, headers)
            head.append(_CHUNKED)
            self.connection.outbox.put(self._write, b"".join(head))

    async def piece(self, chunk: bytes) -> None:
        """More of a stream; waits while the caller reads too slowly."""
        if not self.disconnected:
            self.connection.outbox.put(self._write, b"%x\r\n%b\r\n" % (len(chunk), chunk))
            if self.connection.flow.write_paused:
                await self.connection.flow.drain()

    def end(self, chunk: bytes) -> None:
        """The last of a stream."""
        if not self.disconnected:
            last = b"%x\r\n%b\r\n0\r\n\r\n" % (len(chunk), chunk) if chunk else b"0\r\n\r\n"
            self.connection.outbox.put(self._write, last)
            self._done()

    def _head(self, status: int, headers: Headers) -> list[bytes]:
        self.response_started = True
        head = [STATUS_LINE[status]]
        for name, value in headers:
            head += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            head.append(_CLOSE)
        return head

    def _write(self, data: bytes) -> None:
        transport = self.connection.transport
        if not transport.is_closing():
            transport.write(data)

    def _done(self) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self.connection.outbox.flush()
            self.connection.transport.close()
        self.connection.on_response_complete()
