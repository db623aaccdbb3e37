"""The ASGI application: completions by one look into a dict, everything else by Starlette's router."""

from collections.abc import Awaitable, Mapping, MutableMapping
from typing import Any

from starlette.applications import Starlette

from dominion.domain.contracts import Dialect
from dominion.domain.errors import WrongMethod
from dominion.transports.http.completions import CompletionDoor, RequestIds
from dominion.transports.http.protocol import Cycle
from dominion.transports.http.reply import HttpReply
from dominion.transports.http.request import Receive, Send


class HttpServer:
    """The application. `doors` maps the paths of completions to the dialects they speak."""

    def __init__(
        self, doors: Mapping[str, Dialect], completion: CompletionDoor, rest: Starlette, ids: RequestIds
    ) -> None:
        self._doors = doors
        self._completion = completion
        self._rest = rest
        self._ids = ids

    def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request. The decision is taken on the routed path and nothing else."""
        cycle: Cycle = scope.pop("dominion.cycle")  # a circle of references would leave each request to the collector
        dialect = self._doors.get(scope["path"])
        if dialect is None:
            return self._rest(scope, receive, send)
        if scope["method"] == "POST":
            return self._completion(scope, cycle, dialect)
        error = WrongMethod(f"{scope['method']} is not for {scope['path']}.", allowed=("POST",))
        return HttpReply(cycle, dialect, self._ids.next()).fail(error)
