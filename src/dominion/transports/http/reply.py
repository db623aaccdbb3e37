"""Answers on the way out: statuses, headers and bytes."""

import msgspec

from dominion.domain.contracts import Dialect, Receipt
from dominion.domain.errors import DominionError, ProviderError
from dominion.domain.usage import NANO_PER_USD
from dominion.transports.http.cycle import Cycle, Headers
from dominion.transports.http.errors import headers_of, status_of
from dominion.wire.native.dialect import NATIVE

JSON = (b"content-type", b"application/json")


class HttpReply:
    """One HTTP answer. Implements `domain.contracts.Reply`."""

    __slots__ = ("_cycle", "door", "ended", "request_id", "started", "write")

    def __init__(self, cycle: Cycle, door: Dialect, request_id: str) -> None:
        self._cycle = cycle
        self.write = cycle.piece  # itself, as it runs for each event of each stream
        self.door = door
        self.request_id = request_id
        self.started = False
        self.ended = False

    async def whole(self, body: bytes, receipt: Receipt) -> None:
        """200 and the whole answer, in one write. Callers of the native door read its cost in the body, too."""
        if self.door is NATIVE and receipt.cost_nano is not None:
            told = {"provider": receipt.provider, "cost_usd": _usd(receipt.cost_nano).decode()}
            body = body[:-1] + b"," + msgspec.json.encode(told)[1:]
        self.plain(200, body, [JSON, *_receipt_headers(receipt)])

    async def start(self, stream_type: bytes, receipt: Receipt) -> None:
        """200 and a stream. Proxies on the way are asked not to buffer it."""
        self.started = True
        headers = [
            (b"content-type", stream_type),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *_receipt_headers(receipt),
        ]
        self._cycle.begin(200, headers)

    async def end(self, chunk: bytes) -> None:
        """The last of the stream."""
        self.ended = True
        self._cycle.end(chunk)

    def plain(self, status: int, body: bytes, headers: Headers) -> None:
        """A whole answer of any status. `headers` without content-length."""
        self.started = self.ended = True
        self._cycle.whole(status, headers, body)

    async def fail(self, error: DominionError, *, close: bool = False) -> None:
        """An error in the door's dialect, in the stream when that has begun."""
        if self.ended:
            return
        if self.started:
            await self.end(self.door.write_stream_error(error, self.request_id))
            return
        headers = [JSON, (b"x-request-id", self.request_id.encode()), *headers_of(error)]
        if close:
            self._cycle.keep_alive = False
        verbatim = error.verbatim if isinstance(error, ProviderError) else b""
        body = verbatim or self.door.write_error(error, self.request_id)
        self.plain(status_of(error, self.door.name), body, headers)


def _receipt_headers(receipt: Receipt) -> Headers:
    headers = [
        (b"x-request-id", receipt.request_id.encode()),
        (b"x-dominion-provider", receipt.provider.encode()),
    ]
    if receipt.cost_nano is not None:
        headers.append((b"x-dominion-cost-usd", _usd(receipt.cost_nano)))
    if receipt.remaining_nano is not None:
        headers.append((b"x-dominion-remaining-usd", _usd(receipt.remaining_nano)))
    if receipt.output_cap is not None:
        headers.append((b"x-dominion-output-cap", b"%d" % receipt.output_cap))
    if receipt.lost:
        headers.append((b"x-dominion-lost", ",".join(receipt.lost).encode("ascii", "replace")))
    if receipt.warning:
        headers.append((b"x-dominion-warning", receipt.warning.encode("ascii", "replace")))
    if receipt.estimated:
        headers.append((b"x-dominion-usage", b"estimated"))
    if receipt.attempts > 1:
        headers.append((b"x-dominion-attempts", b"%d" % receipt.attempts))
    if receipt.own_key:
        headers.append((b"x-dominion-key", receipt.own_key.encode()))
    return headers


def _usd(nano: int) -> bytes:
    """`domain.usage.usd` for amounts that are never negative, in the one place where a microsecond counts."""
    return b"%d.%09d" % divmod(nano, NANO_PER_USD)
