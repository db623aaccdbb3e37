"""One attempt at one provider: speak, send, and read on until it is sure that this is an answer.

Nothing goes to the caller here, so whatever fails can still be asked of another provider. Never decides what is next.
"""

import re
from typing import cast

import msgspec

from dominion.credentials.present import hidden
from dominion.domain.contracts import Call, Clock, Envelope, Exchange, Upstream
from dominion.domain.errors import (
    InvalidCredentials,
    LossyTranslation,
    OwnKeyRefused,
    ProviderError,
    ProviderUnavailable,
    UnexpectedResponse,
)
from dominion.domain.messages import Started
from dominion.rules.routing.retry import told_wait
from dominion.services.completions.metering import Meter
from dominion.services.completions.relay import RelayRoad, Road, TranslatedRoad, seen_of
from dominion.services.offer.routing import Route
from dominion.wire.seals import mark_answer, mark_at, only_own, origin_of

LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes of a whole answer. Each may take FREE_ANSWER; what is more must fit into SHARED_ANSWERS with all others."""
FREE_ANSWER = 1024 * 1024
FREE_DIGITS = 6
"""Of a content-length that is surely below FREE_ANSWER."""
SHARED_ANSWERS = 128 * 1024 * 1024
LARGEST_ERROR = 256 * 1024
LARGEST_PRELUDE = 1024 * 1024
"""Bytes of a stream before its first real event."""

_FRAME_END = re.compile(rb"\n\n|\r\n\r\n|\r\r")
_REAL_FRAME = re.compile(rb'(?:\A|[\r\n])data: ?\{(?! ?"type": ?"ping")')
_STALE_SIGNATURE = re.compile(rb"ExpiredToken|UnrecognizedClient|InvalidSignature")
"""What AWS says, with status 403, of credentials that may be good when they are read again."""


class Attempts:
    """Makes attempts. `clock` for dates in headers and in written answers."""

    def __init__(self, upstream: Upstream, clock: Clock) -> None:
        self._upstream = upstream
        self._clock = clock
        self._shared = 0

    async def begin(self, meter: Meter, route: Route) -> bytes:
        """The whole answer in the door's dialect, or the first bytes of a stream, which goes on through `meter.road`
        and `meter.exchange`. Raises ProviderError (the exchange is closed then), LossyTranslation, InvalidRequest."""
        if route.natives:
            route = route.natives.get(meter.call.door.name, route)
        meter.route = route
        body = self._speak(meter, route)
        extra = self._extra_headers(meter.call, route)
        target = route.stream_target if meter.peek.stream else route.target
        if route.authority is not None:
            extra += await route.authority.headers(target.path, body)
        meter.shown = target.head, extra
        meter.exchange = exchange = await self._upstream.send(target, body, extra)
        try:
            if exchange.status != 200:  # noqa: PLR2004 - the one status that carries an answer
                raise await self._refusal(meter, route, exchange)
            if meter.peek.stream:
                return await self._begun(meter, route, exchange)
            length = exchange.headers.get(b"content-length", b"")
            if 0 < len(length) <= FREE_DIGITS:
                answer = await exchange.read(FREE_ANSWER)
            else:
                answer = await self._large(exchange, length)
            return self._whole(meter, route, answer)
        except BaseException as error:
            exchange.close()
            if isinstance(error, ProviderError):
                hide_key(error, meter)
            raise

    # --- speak

    def _speak(self, meter: Meter, route: Route) -> bytes:
        """The request in the provider's dialect. Raises LossyTranslation in strict mode."""
        call, peek = meter.call, meter.peek
        cap = meter.set_cap
        if cap is not None and route.row is not None and route.row.max_output:
            cap = min(cap, route.row.max_output)  # what is set aside may be for another model, with longer answers
        if route.dialect.speaks == call.door.name:
            fields = call.fields
            if route.dialect is not call.door:
                fields = cast("Envelope", route.dialect).carry(fields, call.carried)
            return route.dialect.patch(fields, peek, model=route.sends, output_cap=cap)
        if cap is None:
            cap = peek.output_cap
        request = only_own(call.door.read_request(call.fields), call.door.name, _origin(route))
        written = route.dialect.write_request(request, model=route.sends, output_cap=cap)
        meter.lost = written.lost
        if call.strict and written.lost:
            raise LossyTranslation(
                f"{route.slot.row.name} has no place for: {', '.join(written.lost)}.", param=written.lost[0]
            )
        return written.body

    @staticmethod
    def _extra_headers(call: Call, route: Route) -> bytes:
        """Headers of the dialect: the caller's own when it is the same dialect, else the dialect's defaults."""
        if not (call.carried or route.dialect.default_headers):
            return b""
        carried = call.carried if route.dialect.speaks == call.door.name else {}
        if route.dialect is not call.door:
            carried = {name: value for name, value in carried.items() if name in route.dialect.carried_headers}
        lines = [b"%b: %b\r\n" % item for item in carried.items()]
        lines += [b"%b: %b\r\n" % (name, value) for name, value in route.dialect.default_headers if name not in carried]
        return b"".join(lines)

    # --- a whole answer

    async def _large(self, exchange: Exchange, length: bytes) -> bytes:
        """A body that may be large, or tells no length. Raises UnexpectedResponse when it is larger than allowed."""
        if length.isdigit() and int(length) > LARGEST_ANSWER:
            raise _too_large()
        pieces: list[bytes] = []
        size = counted = 0
        try:
            while piece := await exchange.chunk():
                pieces.append(piece)
                size += len(piece)
                if size > FREE_ANSWER:
                    self._shared += size - counted
                    counted = size
                    if size > LARGEST_ANSWER or self._shared > SHARED_ANSWERS:
                        raise _too_large()
        finally:
            self._shared -= counted
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _whole(self, meter: Meter, route: Route, body: bytes) -> bytes:
        """The answer for the door. Raises ProviderError when it is none."""
        door, dialect = meter.call.door, route.dialect
        if dialect.speaks == door.name:
            meter.seen = dialect.read_seen(body)
            if meter.seen.failed:
                raise self._error(meter, route, 200, body)
            return body
        answer = dialect.read_answer(body)
        if not (answer.id and answer.model):  # of some clouds' answers the caller would not know what they are
            names = {"id": answer.id or meter.call.id, "model": answer.model or route.sends}
            answer = msgspec.structs.replace(answer, **names)
        meter.seen = seen_of(answer)
        origin = mark_at(door.name, _origin(route))
        if origin:
            answer = mark_answer(answer, origin)
        return door.write_answer(answer, now=int(self._clock.now()))

    # --- the beginning of a stream

    async def _begun(self, meter: Meter, route: Route, exchange: Exchange) -> bytes:
        """The bytes up to the first real event, if that is no error. Raises ProviderError."""
        name = route.slot.row.name
        stream_type = route.dialect.stream_type.partition(b";")[0]
        if stream_type not in exchange.headers.get(b"content-type", stream_type):
            raise self._error(meter, route, exchange.status, await exchange.read(LARGEST_ERROR))
        meter.road = road = self._road(meter, route)
        meter.seen = seen = road.seen
        relayed = isinstance(road, RelayRoad)
        prelude, start = bytearray(), 0
        while chunk := await exchange.chunk():
            out = road.feed(chunk)
            if seen.failed and not seen.frames:
                raise ProviderUnavailable(
                    f"{name} sent an error instead of an answer. It says: {seen.failed}", provider=name
                )
            if seen.frames or seen.usage is not None or seen.finish or seen.done or (out and not relayed):
                return bytes(prelude + out) if prelude else out
            prelude += out
            while end := _FRAME_END.search(prelude, max(start, len(prelude) - len(out) - 3)):
                if _REAL_FRAME.search(prelude, max(start - 1, 0), end.end()):
                    return bytes(prelude)
                start = end.end()
            if len(prelude) > LARGEST_PRELUDE:
                raise UnexpectedResponse(f"{name} sent no event in {LARGEST_PRELUDE} bytes.", provider=name)
        raise UnexpectedResponse(f"{name} ended its answer before it began.", provider=name)

    def _road(self, meter: Meter, route: Route) -> Road:
        door, dialect, peek = meter.call.door, route.dialect, meter.peek
        if dialect.speaks == door.name:
            return RelayRoad(dialect, asks_usage=peek.asks_usage)
        begun = Started(meter.call.id, route.sends)
        origin = mark_at(door.name, _origin(route))
        return TranslatedRoad(dialect, door, begun, origin, now=int(self._clock.now()), asks_usage=peek.asks_usage)

    # --- errors

    async def _refusal(self, meter: Meter, route: Route, exchange: Exchange) -> ProviderError:
        """The error of an answer whose status is one, with what its headers say of waiting."""
        body = await exchange.read(LARGEST_ERROR)
        error = self._error(meter, route, exchange.status, body)
        told = told_wait(exchange.headers, self._clock.now())
        if told is not None:
            error.retry_after = told
        if route.authority is not None and not meter.renewed and _stale(exchange, body):
            route.authority.refused()
            meter.stale = meter.renewed = True
        return error

    @staticmethod
    def _error(meter: Meter, route: Route, status: int, body: bytes) -> ProviderError:
        """The provider's error, sorted into the tree; its own words go to callers of the same dialect only."""
        error = route.dialect.read_error(route.slot.row.name, status, body)
        if route.dialect is not meter.call.door or route.own is not None:
            error.verbatim = b""
        if route.own is not None:
            if isinstance(error, InvalidCredentials):
                error = OwnKeyRefused(error.message, provider=error.provider, status=status)
            error.message = route.own.hidden(error.message)  # a provider may repeat the key that it refuses
        return error


def hide_key(error: ProviderError, meter: Meter) -> None:
    """Take the key that the provider was shown out of its words."""
    shown = b"".join(meter.shown)
    error.message = hidden(error.message.encode(), shown).decode()
    error.args = (error.message,)
    error.verbatim = hidden(error.verbatim, shown)


def _origin(route: Route) -> str:
    """Who seals what this route answers."""
    return origin_of(route.dialect.speaks, route.sends, route.slot.row.id)


def _too_large() -> UnexpectedResponse:
    return UnexpectedResponse(f"The provider's answer is longer than {LARGEST_ANSWER} bytes, or than fits here now.")


def _stale(exchange: Exchange, body: bytes) -> bool:
    """Whether the provider refused the proof of who pays in a way that a new one may mend."""
    said = exchange.headers.get(b"x-amzn-errortype", b"") + body
    return exchange.status == 401 or (exchange.status == 403 and _STALE_SIGNATURE.search(said) is not None)  # noqa: PLR2004
