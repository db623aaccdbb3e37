"""The boundaries between the floors, as Protocols. Each says what may be raised.

Times are epoch seconds unless named otherwise; money is integer nano-dollars.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from dominion.domain.errors import DominionError, ProviderError
from dominion.domain.messages import Answer, Event, Request
from dominion.domain.own_keys import PassedKeys
from dominion.domain.people import Principal
from dominion.domain.providers import Target
from dominion.domain.usage import Usage

Fields = dict[str, msgspec.Raw]
"""The top level of a JSON body: names to the untouched bytes of their values."""


class Clock(Protocol):
    """Time is an argument, so that tests can move it."""

    def now(self) -> float:
        """Epoch seconds, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""


# --- wire ---------------------------------------------------------------------------------------------------------


class Peek(msgspec.Struct, frozen=True):
    """What routing and admission need of a request, read without touching the messages.

    `output_cap` is what the caller asked for (None: nothing); `choices` is n; `asks_usage` says that the caller wants
    usage inside the stream; `provider` only the native dialect can name. `images` are their number and their bytes
    inside the body, which bound no tokens. `kept`: the prompt also holds what only the provider has.
    """

    model: str
    stream: bool
    output_cap: int | None = None
    choices: int = 1
    asks_usage: bool = True
    provider: str = "auto"
    images: tuple[int, int] = (0, 0)
    kept: bool = False


class Seen(msgspec.Struct):
    """What a relayed answer told the gateway on its way through. Filled by taps and by `read_seen`.

    `usage` None: not reported. `frames` counts the relayed frames that carry content and `content_bytes` estimates
    the bytes of text in them, for the estimate when usage never came. `done`: the provider's own end mark was seen.
    `failed` holds the text of an error that the provider sent inside the stream.
    """

    usage: Usage | None = None
    finish: str = ""
    model: str = ""
    frames: int = 0
    content_bytes: int = 0
    done: bool = False
    failed: str = ""


class Tap(Protocol):
    """Watches a stream that is relayed in its own dialect, and may take single frames out of it."""

    seen: Seen

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to relay now (may be empty). Raises UnexpectedResponse when a frame outgrows its limit."""

    def end(self) -> bytes:
        """What was held back, when the provider has closed the stream."""


class StreamReader(Protocol):
    """A provider's stream: bytes to events. The same events come out however the bytes are cut."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises UnexpectedResponse for what is not the dialect."""

    def end(self) -> list[Event]:
        """Events completed by the end. Raises UnexpectedResponse when the stream broke off before its end mark."""


class StreamWriter(Protocol):
    """Events to the bytes of the door's stream."""

    def write(self, event: Event) -> bytes:
        """The bytes of this event; empty when the dialect has none for it."""

    def end(self) -> bytes:
        """The closing bytes, with usage and the end mark."""


class Written(msgspec.Struct, frozen=True):
    """A request in a provider's dialect, and the names of the fields that have no place there."""

    body: bytes
    lost: tuple[str, ...] = ()


class Dialect(Protocol):
    """One API's way to speak, in both roles. Pure: no sockets, no clock, no randomness. `now` and ids are arguments.

    Reading raises InvalidRequest (as a door) or UnexpectedResponse (of a provider), never anything else.
    """

    name: str
    speaks: str
    """The name of the dialect of which it takes requests and gives answers untouched: its own, except for clouds that
    wrap another dialect in an envelope (those are `Envelope`)."""
    stream_type: bytes
    """content-type of its streams."""
    carried_headers: tuple[bytes, ...]
    """Lower-case names of request headers that belong to the dialect and are relayed within it."""
    default_headers: tuple[tuple[bytes, bytes], ...]
    """Headers that each request to a provider of this dialect needs, unless the caller brought them."""

    def peek(self, fields: Fields) -> Peek:
        """What routing and admission need. Validates the types and ranges of the fields that it reads, and that the
        messages are a non-empty array."""

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:
        """The same request for a provider of this very dialect: the model replaced, the output cap set if given,
        usage asked for in streams; every other field's bytes untouched."""

    def read_request(self, fields: Fields) -> Request:
        """The whole request."""

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:
        """The request for a provider of this dialect, and what was lost on the way."""

    def read_answer(self, body: bytes) -> Answer:
        """A provider's whole answer."""

    def write_answer(self, answer: Answer, *, now: int) -> bytes:
        """An answer for a caller of this dialect. `now` epoch seconds."""

    def read_seen(self, body: bytes) -> Seen:
        """Usage, finish and model of a whole answer that is relayed untouched; cheap. Never raises for missing
        fields; raises UnexpectedResponse when the body is not JSON of the dialect."""

    def tap(self, *, hide_usage: bool) -> Tap:
        """For a relayed stream; `hide_usage` takes the usage frame out, which the caller did not ask for."""

    def reader(self) -> StreamReader:
        """For a provider's stream that must be translated."""

    def writer(self, *, now: int, asks_usage: bool) -> StreamWriter:
        """For a translated stream to a caller of this dialect."""

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error answer, sorted into the tree. `provider` is the display name used in sentences.
        Never raises; the error's message never holds a credential. `retry_after` comes from the body where the
        dialect puts it there; the caller adds what the headers say."""

    def write_error(self, error: DominionError, request_id: str) -> bytes:
        """The body of an error for a caller of this dialect."""

    def write_stream_error(self, error: DominionError, request_id: str) -> bytes:
        """The same inside a running stream, with whatever ends the stream in this dialect."""


class Envelope(Dialect, Protocol):
    """A dialect in a cloud's envelope: callers of the dialect that it `speaks` lose nothing on the way through it."""

    def carry(self, fields: Fields, carried: Mapping[bytes, bytes]) -> Fields:
        """The caller's fields with what this cloud wants in the body instead of in headers."""


# --- upstream -----------------------------------------------------------------------------------------------------


class Exchange(Protocol):
    """One request on its way to a provider, with the head of the answer read."""

    @property
    def status(self) -> int:
        """The provider's status."""

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Lower-case names; repeated headers joined by a comma."""

    async def chunk(self) -> bytes:
        """The next piece of the body, as it came; b"" at the end. Raises NetworkFailure, ProviderTimeout."""

    async def read(self, limit: int) -> bytes:
        """The rest of the body. Raises also UnexpectedResponse when it is longer than `limit` bytes."""

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else cut it at once. Idempotent, never waits."""


class Upstream(Protocol):
    """Sends completions to providers."""

    async def send(self, target: Target, body: bytes, extra: bytes = b"") -> Exchange:
        """Send one request; `extra` are further header lines, each ended by CRLF.

        Returns when the head of the answer is there. Raises NetworkFailure (with `sent`), ProviderTimeout,
        UnexpectedResponse. When the awaiting task is cancelled the connection is cut at once.
        """


class Authority(Protocol):
    """Proves to a provider who pays where a fixed header cannot: tokens that age, signatures over each request."""

    async def headers(self, path: bytes, body: bytes) -> bytes:
        """Header lines for one POST of `body` to `path` (with its query), each line ended by CRLF.

        Renews what has aged, once for all callers that wait. Raises InvalidCredentials when there is nothing to prove
        it with or the renewal was refused, and whatever else a provider can fail with (ProviderError).
        """

    def refused(self) -> None:
        """The provider answered 401 to the last headers: the next call renews, whatever the expiry says."""


class Outbox(Protocol):
    """Puts writes to sockets off until the work of one turn of the event loop is done, and makes them in order."""

    def put(self, write: Callable[[bytes], None], data: bytes) -> None:
        """Call `write(data)` soon; it must not raise."""

    def flush(self) -> None:
        """Make the writes now."""


# --- doors --------------------------------------------------------------------------------------------------------


class Call(msgspec.Struct, frozen=True):
    """One request for a completion, as a door hands it over. `received` is monotonic seconds, `size` bytes of the body.

    `carried` are headers that belong to the door's dialect. `strict`: refuse rather than lose a field in translation.
    `ask`: propose another model rather than let it answer; `accept` is the one that was agreed to, "provider/model".
    `max_nano` is the most that the caller allows it to cost, None: the caller does not say. `customer` and `run` are
    the caller's labels of whom and what it is for. `passed`: keys of the caller's own at providers.
    """

    id: str
    door: Dialect
    fields: Fields
    size: int
    principal: Principal
    received: float
    carried: dict[bytes, bytes]
    strict: bool = False
    ask: bool = False
    accept: str = ""
    max_nano: int | None = None
    customer: str = ""
    run: str = ""
    passed: PassedKeys | None = None


class Receipt(msgspec.Struct, frozen=True):
    """What a door may tell the caller about an answer. `cost_nano` None: not known yet (streams).

    `remaining_nano` of the monthly spend cap, None: no cap. `output_cap` only when the gateway set or lowered it.
    `attempts` were made, the last one with success. `warning`: a soft cap is passed.
    `own_key` "own" or "passed": a key of the caller's own has paid the provider.
    """

    request_id: str
    provider: str
    model: str
    cost_nano: int | None
    remaining_nano: int | None
    output_cap: int | None
    lost: tuple[str, ...]
    estimated: bool
    attempts: int = 1
    warning: str = ""
    own_key: str = ""


class Reply(Protocol):
    """Where the answer goes. Writing waits while the caller reads too slowly."""

    started: bool

    async def whole(self, body: bytes, receipt: Receipt) -> None:
        """The whole answer at once."""

    async def start(self, stream_type: bytes, receipt: Receipt) -> None:
        """Begin a stream."""

    async def write(self, chunk: bytes) -> None:
        """More of the stream."""

    async def end(self, chunk: bytes) -> None:
        """The last of the stream."""
