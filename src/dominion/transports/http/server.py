"""The application: which door a request enters, and all other routes through ASGI."""

from collections.abc import Awaitable, Mapping, MutableMapping
from typing import Any

from starlette.applications import Starlette

from dominion.domain.contracts import Dialect, Outbox
from dominion.domain.errors import WrongMethod
from dominion.transports.http.completions import CallDoor, RequestIds
from dominion.transports.http.cycle import Cycle
from dominion.transports.http.gemini import COUNT, GeminiDoor, action_of, reply_of
from dominion.transports.http.protocol import Answer
from dominion.transports.http.reply import HttpReply
from dominion.transports.http.request import Receive, Send


class HttpServer:
    """Implements `protocol.Application`. `doors` maps paths to what answers there and the dialect it speaks; `gemini`
    and `gemini_counting` answer the addresses that have a model's name in them.
    """

    def __init__(
        self,
        doors: Mapping[str, tuple[CallDoor, Dialect]],
        gemini: GeminiDoor,
        gemini_counting: GeminiDoor,
        rest: Starlette,
        ids: RequestIds,
        outbox: Outbox,
    ) -> None:
        self.doors = {path.encode(): self._entry(*found) for path, found in doors.items()}
        self.outbox = outbox
        self._gemini = gemini
        self._gemini_counting = gemini_counting
        self._rest = rest
        self._ids = ids

    def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        """Every route that is no door of calls."""
        return self._rest(scope, receive, send)

    def door(self, method: bytes, path: str, query: bytes) -> Answer | None:
        """See `protocol.Application`. The decision is taken on the routed path and nothing else."""
        found = self.doors.get(path.encode("utf-8", "replace"))
        if found is not None:
            return found
        action = action_of(method, path)
        if not action:
            return None
        door = self._gemini_counting if action == COUNT else self._gemini

        def enter(cycle: Cycle) -> Awaitable[None]:
            return door(cycle, reply_of(action, query, cycle, self._ids.next()))

        return enter

    def _entry(self, door: CallDoor, dialect: Dialect) -> Answer:
        def enter(cycle: Cycle) -> Awaitable[None]:
            reply = HttpReply(cycle, dialect, self._ids.next())
            if cycle.method == b"POST":
                return door(cycle, reply)
            method = cycle.method.decode("ascii")
            return reply.fail(WrongMethod(f"{method} is not for {cycle.path}.", allowed=("POST",)))

        return enter
