"""The ASGI application: calls by one look into a dict, everything else by what the address begins with."""

from collections.abc import Awaitable, Mapping, MutableMapping
from typing import Any

from starlette.applications import Starlette

from dominion.domain.contracts import Dialect
from dominion.domain.errors import WrongMethod
from dominion.transports.http.completions import CallDoor, RequestIds
from dominion.transports.http.gemini import COUNT, GeminiDoor, action_of, reply_of
from dominion.transports.http.protocol import Cycle
from dominion.transports.http.reply import HttpReply
from dominion.transports.http.request import Receive, Send


class HttpServer:
    """The application. `doors` maps paths to what answers there and the dialect it speaks; `gemini` and
    `gemini_counting` answer the addresses that have a model's name in them.
    """

    def __init__(
        self,
        doors: Mapping[str, tuple[CallDoor, Dialect]],
        gemini: GeminiDoor,
        gemini_counting: GeminiDoor,
        rest: Starlette,
        ids: RequestIds,
    ) -> None:
        self._doors = doors
        self._gemini = gemini
        self._gemini_counting = gemini_counting
        self._rest = rest
        self._ids = ids

    def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request. The decision is taken on the routed path and nothing else."""
        cycle: Cycle = scope.pop("dominion.cycle")  # a circle of references would leave each request to the collector
        found = self._doors.get(scope["path"])
        if found is None:
            return self._elsewhere(scope, receive, send, cycle)
        door, dialect = found
        reply = HttpReply(cycle, dialect, self._ids.next())
        if scope["method"] == "POST":
            return door(scope, cycle, reply)
        return reply.fail(WrongMethod(f"{scope['method']} is not for {scope['path']}.", allowed=("POST",)))

    def _elsewhere(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, cycle: Cycle
    ) -> Awaitable[None]:
        action = action_of(scope)
        if not action:
            return self._rest(scope, receive, send)
        door = self._gemini_counting if action == COUNT else self._gemini
        return door(scope, cycle, reply_of(scope, cycle, self._ids.next()))
