"""One request on its way and the answer to it: what has arrived and who waits for it; never touches a socket itself."""

import asyncio
from typing import Protocol

from dominion.domain.errors import NetworkFailure, ProviderError, UnexpectedResponse
from dominion.upstream.inflate import Inflater


class Line(Protocol):
    """What an exchange asks of the connection that carries it."""

    def cut(self) -> None:
        """Close the connection at once."""

    def resume(self) -> None:
        """Read on, after a pause."""


class HttpExchange:
    """Implements `dominion.domain.contracts.Exchange`. One task at a time may wait on it.

    `status` is 0 until the head of the answer is there. `deadline` is in loop time. `stale`: the exchange failed
    because a kept connection had died, and no byte of an answer came. The exchange owns what has arrived: once the
    answer is whole the connection serves others, read or not.
    """

    __slots__ = (
        "_ended",
        "_inflater",
        "_line",
        "_loop",
        "_parts",
        "_waiter",
        "deadline",
        "failure",
        "headers",
        "paused",
        "size",
        "stale",
        "status",
    )

    def __init__(self, line: Line, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._line: Line | None = line
        self._loop = loop
        self.deadline = deadline
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.size = 0
        self.paused = False
        self.stale = False
        self.failure: ProviderError | None = None
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._inflater: Inflater | None = None
        self._ended = False

    # --- for the connection ---------------------------------------------------------------------------------------

    def begin(self, status: int, headers: dict[bytes, bytes], inflater: Inflater | None) -> None:
        """The head of the answer is there. `inflater` for a body that is not sent as it is."""
        self.status = status
        self.headers = headers
        self._inflater = inflater

    def receive(self, piece: bytes) -> None:
        """A piece of the body has come off the wire. Wakes nobody: `wake` does, once per arrival."""
        self._parts.append(piece)
        self.size += len(piece)

    def wake(self) -> None:
        """Let the waiting task look again."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def finish(self) -> None:
        """The answer is whole, and the connection is no longer this exchange's."""
        self._ended = True
        self._line = None
        self.paused = False
        self.wake()

    def fail(self, failure: ProviderError) -> None:
        """The answer will never be whole; what has arrived can still be read before the failure is raised."""
        self.failure = failure
        self._line = None
        self.paused = False
        self.wake()

    # --- for the caller -------------------------------------------------------------------------------------------

    async def arrival(self) -> None:
        """Wait until something has happened. When the waiting task is cancelled the connection is cut at once."""
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        except BaseException:
            self.close()
            raise

    async def chunk(self) -> bytes:
        """Everything that has arrived, in one piece, decoded; b"" at the end.

        Raises NetworkFailure, ProviderTimeout, and UnexpectedResponse for a body that breaks the rules of HTTP or of
        its content-encoding.
        """
        try:
            while True:
                piece = self._wire() if self._inflater is None else self._inflated(self._inflater)
                if piece:
                    return piece
                if self.failure is not None:
                    raise self.failure
                if self._ended:
                    return b""
                self._waiter = waiter = self._loop.create_future()
                await waiter  # not through `arrival`: this runs for each event of each stream
        except asyncio.CancelledError:
            self.close()
            raise

    async def read(self, limit: int) -> bytes:
        """The rest of the body. Raises as `chunk` does, and UnexpectedResponse when it is longer than `limit` bytes."""
        pieces: list[bytes] = []
        room = limit
        while piece := await self.chunk():
            room -= len(piece)
            if room < 0:
                self.close()
                raise UnexpectedResponse(f"The provider's answer is longer than {limit} bytes.")
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Cut the connection at once, unless the answer is whole. Idempotent, never waits."""
        line = self._line
        if line is not None:
            line.cut()
            self.fail(NetworkFailure("The exchange was closed before its answer was whole."))

    def _wire(self) -> bytes:
        parts = self._parts
        if not parts:
            return b""
        piece = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.size = 0
        if self.paused and self._line is not None:
            self.paused = False
            self._line.resume()
        return piece

    def _inflated(self, inflater: Inflater) -> bytes:
        """Inflating when the caller takes, not when bytes arrive, makes backpressure bound the inflated bytes too."""
        piece = b""
        try:
            while not piece and (inflater.pending or self._parts):
                piece = inflater.more() if inflater.pending else inflater.feed(self._wire())
            if not piece and self._ended:
                inflater.end()
        except UnexpectedResponse as error:
            self.close()
            self.failure = error
            self._inflater = None
        return piece
