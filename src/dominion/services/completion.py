"""The life of a completion. Every route that can cost money goes through `Completions.answer`.

peek -> route -> admit -> send (next route on failure, before the first byte only) -> relay or translate -> settle.
The row is in the journal before the last byte leaves; whatever ends a request, its hold ends with it.
"""

import asyncio
import logging
from typing import NamedTuple, cast

import msgspec

from dominion.domain.contracts import Call, Clock, Envelope, Exchange, Peek, Reply, Upstream
from dominion.domain.errors import (
    DominionError,
    InvalidRequest,
    LossyTranslation,
    ProviderError,
    ProviderRefused,
    UnexpectedResponse,
)
from dominion.domain.messages import Started
from dominion.domain.records import HoldRecord, Outcome
from dominion.domain.usage import Price
from dominion.rules.estimates import images_in, input_bound, likely_input
from dominion.rules.limits import Ask
from dominion.rules.pricing import worst_case
from dominion.services.admission import Admission
from dominion.services.counters import Counters
from dominion.services.metering import Meter
from dominion.services.relay import RelayRoad, Road, TranslatedRoad, seen_of
from dominion.services.routing import Route, Routing

LOG = logging.getLogger("dominion.completion")
LARGEST_ANSWER = 64 * 1024 * 1024
LARGEST_ERROR = 256 * 1024


class Rules(NamedTuple):
    """The operator's choices that a completion needs. `bytes_per_token` 1 makes the input bound strict."""

    default_max_output: int
    bytes_per_token: int
    allow_unpriced: bool


class Completions:
    """Answers calls."""

    def __init__(
        self, routing: Routing, admission: Admission, upstream: Upstream, counters: Counters, clock: Clock, rules: Rules
    ) -> None:
        self._routing = routing
        self._admission = admission
        self._upstream = upstream
        self._counters = counters
        self._clock = clock
        self._rules = rules

    async def answer(self, call: Call, reply: Reply) -> None:
        """Answer one call. Raises a DominionError when no byte of an answer has gone out; later errors go into the
        stream. When the task is cancelled (the caller has gone), the provider is cut off and the row says so."""
        peek = call.door.peek(call.fields)
        routes = self._routing.routes(peek.model, peek.provider)
        if self._admission.known(call.principal.user.id) is None:
            await self._admission.standing(call.principal.user)
        meter = self._admit(call, peek, routes)
        exchange: Exchange | None = None
        try:
            exchange, first = await self._first_answer(meter, routes)
            meter.first_byte()
            if peek.stream:
                await self._stream(meter, exchange, first, reply)
            else:
                await self._whole(meter, first, reply)
        except asyncio.CancelledError:
            meter.settle(Outcome.CANCELLED)
            raise
        except DominionError as error:
            meter.settle(Outcome.FAILED, error.code)
            raise
        finally:
            if exchange is not None:
                exchange.close()
            meter.settle(Outcome.FAILED, "internal_error")  # does nothing when the row is written

    # --- admit

    def _admit(self, call: Call, peek: Peek, routes: list[Route]) -> Meter:
        """Set the worst case aside. Raises LimitExceeded, InvalidRequest or StorageUnavailable."""
        user, route = call.principal.user, routes[0]
        standing = self._admission.known(user.id)
        assert standing is not None  # noqa: S101 - loaded by the caller
        capped = standing.limits.monthly_spend_nano is not None
        if capped and route.price is None and not self._rules.allow_unpriced:
            raise InvalidRequest(
                f"The price of {route.sends} is not known, and you have a spend cap.",
                action="Use another model, or ask the operator to set its price.",
                param="model",
            )
        images = (0, 0)
        if "messages" in call.fields and b'"image' in bytes(call.fields["messages"]):
            images = images_in(call.door.read_request(call.fields))
        likely = likely_input(call.size, images)
        dearest = route.price if len(routes) == 1 else _dearest(routes)
        ask = Ask(
            input_bound=input_bound(
                call.size, self._rules.bytes_per_token, tools="tools" in call.fields, images=images
            ),
            output_cap=self._wanted_output(peek, route),
            choices=peek.choices,
            price=dearest,
        )
        hold = self._admission.hold(
            standing,
            ask,
            HoldRecord(
                id=call.id,
                at=int(self._clock.now() * 1000),
                user_id=user.id,
                key_id=call.principal.key_id,
                provider=route.slot.row.id,
                model=route.sends,
                door=call.door.name,
                likely_input=likely,
                output_cap=ask.output_cap * ask.choices,
                likely_nano=worst_case(likely, ask.output_cap, dearest, ask.choices) if dearest is not None else 0,
            ),
        )
        meter = Meter(call, peek, hold, route, likely, self._admission, self._counters, self._clock)
        budgeted = capped or standing.limits.daily_tokens is not None
        if hold.grant.lowered or (budgeted and peek.output_cap is None):
            meter.set_cap = hold.grant.output_cap
        return meter

    def _wanted_output(self, peek: Peek, route: Route) -> int:
        """Output tokens to set aside for: what the caller asks, else the default, and never above the model's own."""
        wanted = peek.output_cap if peek.output_cap is not None else self._rules.default_max_output
        ceiling = route.row.max_output if route.row else 0
        return min(wanted, ceiling) if ceiling else wanted

    # --- send

    async def _first_answer(self, meter: Meter, routes: list[Route]) -> tuple[Exchange, bytes]:
        """The exchange of the first route that answers, with its first bytes (of a stream) or the whole body."""
        for route in routes[:-1]:
            try:
                return await self._open(meter, route)
            except ProviderRefused:
                raise
            except ProviderError as error:
                self._counters.attempts_failed[route.slot.row.id, error.code] += 1
                LOG.info("%s: %s failed (%s), trying the next provider", meter.call.id, route.slot.row.id, error.code)
        try:
            return await self._open(meter, routes[-1])
        except ProviderError as error:
            self._counters.attempts_failed[routes[-1].slot.row.id, error.code] += 1
            raise

    async def _open(self, meter: Meter, route: Route) -> tuple[Exchange, bytes]:
        meter.route = route
        body = self._speak(meter, route)
        extra = self._extra_headers(meter.call, route)
        target = route.stream_target if meter.peek.stream else route.target
        if route.authority is not None:
            extra += await route.authority.headers(target.path, body)
        exchange = await self._upstream.send(target, body, extra)
        try:
            if exchange.status != 200:  # noqa: PLR2004 - the one status that carries an answer
                raise await _provider_error(meter, route, exchange)
            if not meter.peek.stream:
                return exchange, await exchange.read(LARGEST_ANSWER)
            stream_type = route.dialect.stream_type.partition(b";")[0]
            if stream_type not in exchange.headers.get(b"content-type", stream_type):
                raise await _provider_error(meter, route, exchange)
            first = await exchange.chunk()
            if not first:
                raise UnexpectedResponse(
                    f"{route.slot.row.name} ended its answer before it began.", provider=route.slot.row.name
                )
        except BaseException:
            exchange.close()
            raise
        return exchange, first

    def _speak(self, meter: Meter, route: Route) -> bytes:
        """The request in the provider's dialect. Raises LossyTranslation in strict mode."""
        call, peek = meter.call, meter.peek
        if route.dialect.speaks == call.door.name:
            fields = call.fields
            if route.dialect is not call.door:
                fields = cast("Envelope", route.dialect).carry(fields, call.carried)
            return route.dialect.patch(fields, peek, model=route.sends, output_cap=meter.set_cap)
        cap = meter.set_cap if meter.set_cap is not None else peek.output_cap
        written = route.dialect.write_request(call.door.read_request(call.fields), model=route.sends, output_cap=cap)
        meter.lost = written.lost
        if call.strict and written.lost:
            raise LossyTranslation(
                f"{route.slot.row.name} has no place for: {', '.join(written.lost)}.", param=written.lost[0]
            )
        return written.body

    @staticmethod
    def _extra_headers(call: Call, route: Route) -> bytes:
        """Headers of the dialect: the caller's own when it is the same dialect, else the dialect's defaults."""
        carried = call.carried if route.dialect.speaks == call.door.name else {}
        if route.dialect is not call.door:
            carried = {name: value for name, value in carried.items() if name in route.dialect.carried_headers}
        lines = [b"%b: %b\r\n" % item for item in carried.items()]
        lines += [b"%b: %b\r\n" % (name, value) for name, value in route.dialect.default_headers if name not in carried]
        return b"".join(lines)

    # --- relay or translate

    async def _whole(self, meter: Meter, body: bytes, reply: Reply) -> None:
        door, dialect = meter.call.door, meter.route.dialect
        if dialect.speaks == door.name:
            meter.seen = dialect.read_seen(body)
        else:
            answer = dialect.read_answer(body)
            if not (answer.id and answer.model):  # of some clouds' answers the caller would not know what they are
                names = {"id": answer.id or meter.call.id, "model": answer.model or meter.route.sends}
                answer = msgspec.structs.replace(answer, **names)
            meter.seen = seen_of(answer)
            body = door.write_answer(answer, now=int(self._clock.now()))
        meter.settle(Outcome.OK)
        await reply.whole(body, meter.receipt())

    async def _stream(self, meter: Meter, exchange: Exchange, chunk: bytes, reply: Reply) -> None:
        road = self._road(meter)
        meter.seen = road.seen
        call = meter.call
        await reply.start(call.door.stream_type, meter.receipt())
        ended = False
        try:
            while chunk:
                out = road.feed(chunk)
                if road.seen.done and not ended:  # the end mark is in `out`: the row goes first
                    meter.settle(Outcome.OK)
                    ended = True
                if out:
                    await reply.write(out)
                chunk = await exchange.chunk()
            last = road.end()
            meter.settle(Outcome.CUT if road.seen.failed else Outcome.OK, "provider_error" if road.seen.failed else "")
        except DominionError as error:
            LOG.info("%s: the stream of %s broke: %s", call.id, meter.route.slot.row.id, error.message)
            last = b"" if ended else call.door.write_stream_error(error, call.id)
            meter.settle(Outcome.CUT, error.code)
        await reply.end(last)

    def _road(self, meter: Meter) -> Road:
        door, dialect, peek = meter.call.door, meter.route.dialect, meter.peek
        if dialect.speaks == door.name:
            return RelayRoad(dialect, asks_usage=peek.asks_usage)
        begun = Started(meter.call.id, meter.route.sends)
        return TranslatedRoad(dialect, door, begun, now=int(self._clock.now()), asks_usage=peek.asks_usage)


def _dearest(routes: list[Route]) -> Price | None:
    """The price to set aside for when a request may end at any of these."""
    prices = [route.price for route in routes if route.price is not None]
    return max(prices, key=lambda price: worst_case(1000, 1000, price, 1), default=None)


async def _provider_error(meter: Meter, route: Route, exchange: Exchange) -> ProviderError:
    """The provider's error, sorted into the tree; its own words go to callers of the same dialect only."""
    body = await exchange.read(LARGEST_ERROR)
    error = route.dialect.read_error(route.slot.row.name, exchange.status, body)
    after = exchange.headers.get(b"retry-after", b"")
    if error.retry_after is None and after.isdigit():
        error.retry_after = min(float(after), 86_400.0)
    if route.dialect is not meter.call.door:
        error.verbatim = b""
    return error
