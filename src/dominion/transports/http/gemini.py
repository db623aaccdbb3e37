"""The door of the Gemini API, whose addresses hold what other APIs have in the body: model, action and form of streams.

Everything else is as at the other doors. A key in the query goes to the one place for keys, and nowhere else.
"""

from urllib.parse import parse_qs

import msgspec

from dominion.domain.contracts import Call, Receipt
from dominion.domain.errors import NotFound, WrongMethod
from dominion.transports.http.completions import CallDoor
from dominion.transports.http.cycle import Cycle, Headers
from dominion.transports.http.reply import HttpReply
from dominion.transports.http.request import with_google_key
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.gemini.stream import ArrayWriter

PREFIXES = ("/v1beta/models/", "/v1/models/")
WHOLE, STREAM, COUNT = "generateContent", "streamGenerateContent", "countTokens"
ACTIONS = frozenset({WHOLE, STREAM, COUNT})


def action_of(method: bytes, path: str) -> str:
    """The action of the address; "" when this is no request for the door."""
    if not path.startswith(PREFIXES):
        return ""
    _, _, action = path.rpartition(":")
    return action if action in ACTIONS or (method == b"POST" and action != path) else ""


def reply_of(action: str, query: bytes, cycle: Cycle, request_id: str) -> HttpReply:
    """The reply: streams are server-sent events for those who ask for them, else one array."""
    if action != STREAM or parse_qs(query).get(b"alt") == [b"sse"]:
        return HttpReply(cycle, GEMINI, request_id)
    return ArrayReply(cycle, request_id)


class GeminiDoor(CallDoor):
    """Answers the requests of one action or more."""

    async def _read(self, cycle: Cycle, reply: HttpReply) -> Call:
        """Model and stream come from the address, whatever the body says of them."""
        path = cycle.path
        action = action_of(cycle.method, path)
        if action not in ACTIONS:
            raise NotFound(f"Models have no action {action[:100]!r} here; there are {', '.join(sorted(ACTIONS))}.")
        if cycle.method != b"POST":
            raise WrongMethod(f"{cycle.method.decode('ascii')} is not for {path[:200]}.", allowed=("POST",))
        cycle.headers = list(with_google_key(dict(cycle.headers), cycle.query).items())
        call = await super()._read(cycle, reply)
        model = path.partition("/models/")[2].removesuffix(f":{action}")
        placed = {
            "model": msgspec.Raw(msgspec.json.encode(model)),
            "stream": msgspec.Raw(msgspec.json.encode(action == STREAM)),
        }
        return msgspec.structs.replace(call, fields={**call.fields, **placed})


class ArrayReply(HttpReply):
    """A stream as one JSON array, and an error as its only element."""

    __slots__ = ("_elements",)

    def __init__(self, cycle: Cycle, request_id: str) -> None:
        super().__init__(cycle, GEMINI, request_id)
        self._elements = _Elements(cycle)
        self.write = self._elements.write

    async def start(self, stream_type: bytes, receipt: Receipt) -> None:  # noqa: ARG002 - `Reply`
        """See `HttpReply`."""
        await super().start(b"application/json", receipt)

    async def end(self, chunk: bytes) -> None:
        """See `HttpReply`."""
        await super().end(self._elements.last(chunk))

    def plain(self, status: int, body: bytes, headers: Headers) -> None:
        """An error; nothing else is whole here."""
        super().plain(status, body if body.startswith(b"[") else b"[%b]" % body, headers)


class _Elements:
    """Events on their way out as elements of an array."""

    def __init__(self, cycle: Cycle) -> None:
        self._piece = cycle.piece
        self._array = ArrayWriter()

    async def write(self, chunk: bytes) -> None:
        """Send what is complete. Raises UnexpectedResponse for a huge event."""
        elements = self._array.feed(chunk)
        if elements:
            await self._piece(elements)

    def last(self, chunk: bytes) -> bytes:
        """The rest of the array."""
        return self._array.feed(chunk) + self._array.end()
