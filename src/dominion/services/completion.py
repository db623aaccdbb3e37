"""The life of a completion. Every route that can cost money goes through `Completions.answer`.

peek -> route -> admit -> ask (one provider after another, before the first byte only) -> relay or translate -> settle.
The row is in the journal before the last byte leaves; whatever ends a request, its hold ends with it.
"""

import asyncio
import logging
from typing import NamedTuple

from dominion.domain.contracts import Call, Clock, Peek, Reply, Upstream
from dominion.domain.errors import DominionError, InvalidRequest, ProviderError
from dominion.domain.records import HoldRecord, Outcome
from dominion.rules.estimates import images_in, input_bound, likely_input
from dominion.rules.limits import Ask
from dominion.rules.pricing import worst_case
from dominion.services.admission import Admission
from dominion.services.attempts import Attempts
from dominion.services.counters import Counters
from dominion.services.metering import Meter
from dominion.services.router import Router
from dominion.services.routing import Routing, Ways

LOG = logging.getLogger("dominion.completion")


class Rules(NamedTuple):
    """The operator's choices that a completion needs. `bytes_per_token` 1 makes the input bound strict."""

    default_max_output: int
    bytes_per_token: int
    allow_unpriced: bool


class Completions:
    """Answers calls."""

    def __init__(
        self,
        routing: Routing,
        admission: Admission,
        upstream: Upstream,
        counters: Counters,
        clock: Clock,
        rules: Rules,
        router: Router,
    ) -> None:
        self._routing = routing
        self._admission = admission
        self._begin = Attempts(upstream, clock).begin
        self._counters = counters
        self._clock = clock
        self._rules = rules
        self._router = router

    async def answer(self, call: Call, reply: Reply) -> None:
        """Answer one call. Raises a DominionError when no byte of an answer has gone out; later errors go into the
        stream. When the task is cancelled (the caller has gone), the provider is cut off and the row says so."""
        peek = call.door.peek(call.fields)
        ways = self._routing.ways(peek.model, peek.provider)
        if self._admission.known(call.principal.user.id) is None:
            await self._admission.standing(call.principal.user)
        meter, ways = self._admit(call, peek, ways)
        try:
            routes = ways.routes if ways.alone else self._router.ordered(ways, stream=peek.stream)
            first = await self._router.ask(meter, routes, ways.larger, self._begin)
            if peek.stream:
                await self._stream(meter, first, reply)
            else:
                meter.settle(Outcome.OK)
                await reply.whole(first, meter.receipt())
        except asyncio.CancelledError:
            meter.settle(Outcome.CANCELLED)
            raise
        except DominionError as error:
            meter.settle(Outcome.FAILED, error.code)
            raise
        finally:
            if meter.exchange is not None:
                meter.exchange.close()
            meter.settle(Outcome.FAILED, "internal_error")  # does nothing when the row is written

    # --- admit

    def _admit(self, call: Call, peek: Peek, ways: Ways) -> tuple[Meter, Ways]:
        """Set the worst case of all that may answer aside; those are what is left of `ways`. Raises LimitExceeded,
        InvalidRequest or StorageUnavailable."""
        user = call.principal.user
        standing = self._admission.known(user.id)
        assert standing is not None  # noqa: S101 - loaded by the caller
        capped = standing.limits.monthly_spend_nano is not None
        if capped and not ways.priced and not self._rules.allow_unpriced:
            ways = _priced(ways)
        route = ways.routes[0]
        images = (0, 0)
        if "messages" in call.fields and b'"image' in bytes(call.fields["messages"]):
            images = images_in(call.door.read_request(call.fields))
        likely = likely_input(call.size, images)
        dearest = ways.price
        ask = Ask(
            input_bound=input_bound(
                call.size, self._rules.bytes_per_token, tools="tools" in call.fields, images=images
            ),
            output_cap=self._wanted_output(peek, ways.most_output),
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
        return meter, ways

    def _wanted_output(self, peek: Peek, ceiling: int) -> int:
        """Output tokens to set aside for: what the caller asks, else the default, and never above the models' own."""
        wanted = peek.output_cap if peek.output_cap is not None else self._rules.default_max_output
        return min(wanted, ceiling) if ceiling else wanted

    # --- stream

    async def _stream(self, meter: Meter, out: bytes, reply: Reply) -> None:
        call, road, exchange = meter.call, meter.road, meter.exchange
        assert road is not None and exchange is not None  # noqa: S101, PT018 - the attempt has set both
        await reply.start(call.door.stream_type, meter.receipt())
        ended = False
        try:
            while True:
                if road.seen.done and not ended:  # the end mark is in `out`: the row goes first
                    meter.settle(Outcome.OK)
                    ended = True
                if out:
                    await reply.write(out)
                chunk = await exchange.chunk()
                if not chunk:
                    break
                out = road.feed(chunk)
            last = road.end()
            if road.seen.failed:
                self._router.broke(meter.route, ProviderError.code)
            meter.settle(Outcome.CUT if road.seen.failed else Outcome.OK, "provider_error" if road.seen.failed else "")
        except DominionError as error:
            LOG.info("%s: the stream of %s broke: %s", call.id, meter.route.slot.row.id, error.message)
            last = b"" if ended else call.door.write_stream_error(error, call.id)
            if isinstance(error, ProviderError) and not ended:
                self._router.broke(meter.route, error.code)
            meter.settle(Outcome.CUT, error.code)
        await reply.end(last)


def _priced(ways: Ways) -> Ways:
    """Raises InvalidRequest when no price is known."""
    priced = ways.only_priced()
    if priced is None:
        raise InvalidRequest(
            f"The price of {ways.routes[0].sends} is not known, and you have a spend cap.",
            action="Use another model, or ask the operator to set its price.",
            param="model",
        )
    return priced
