"""The life of a completion. Every route that can cost money goes through `Completions.answer`.

peek -> route -> admit -> ask (one provider after another, before the first byte only) -> relay or translate -> settle.
The row is in the journal before the last byte leaves; whatever ends a request, its hold ends with it.
"""

import asyncio
import logging
from collections.abc import Container, Sequence
from functools import partial
from typing import NamedTuple

from dominion.credentials.present import hidden
from dominion.domain.contracts import Call, Clock, Peek, Reply, Upstream
from dominion.domain.errors import DominionError, InvalidRequest, ProviderError
from dominion.domain.records import HoldRecord, Outcome
from dominion.rules.limits.estimates import LARGEST_WINDOW, input_bound, likely_input
from dominion.rules.limits.quoting import check_max_cost
from dominion.rules.limits.verdict import Ask, ScopeStanding, caps_spend, caps_tokens
from dominion.rules.prices.pricing import worst_case
from dominion.services.completions.attempts import Attempts, hide_key
from dominion.services.completions.metering import Meter
from dominion.services.completions.router import Router
from dominion.services.completions.switching import chosen, propose
from dominion.services.figures.counters import Counters
from dominion.services.limits.admission import Admission
from dominion.services.limits.scopes import Scopes
from dominion.services.offer.routing import Route, Routing, Ways
from dominion.services.registry.own_keys import FREE, OwnKeys

LOG = logging.getLogger("dominion.completion")


class Rules(NamedTuple):
    """The operator's choices that a completion needs. `bytes_per_token` 1 makes the input bound strict."""

    default_max_output: int
    bytes_per_token: int
    allow_unpriced: bool


class Completions:
    """Answers calls. `scopes` None: users alone have limits, and this process has them to itself. `own_keys` None:
    callers can bring none."""

    def __init__(
        self,
        routing: Routing,
        admission: Admission,
        upstream: Upstream,
        counters: Counters,
        clock: Clock,
        rules: Rules,
        router: Router,
        scopes: Scopes | None = None,
        own_keys: OwnKeys | None = None,
    ) -> None:
        self._routing = routing
        self._admission = admission
        self._begin = Attempts(upstream, clock).begin
        self._counters = counters
        self._clock = clock
        self._rules = rules
        self._router = router
        self._scopes = scopes
        self._holders: Container[str] = own_keys.holders if own_keys is not None else ()
        self._own_keys = own_keys.ways if own_keys is not None else _refused

    async def answer(self, call: Call, reply: Reply) -> None:
        """Answer one call. Raises a DominionError when no byte of an answer has gone out; later errors go into the
        stream. When the task is cancelled (the caller has gone), the provider is cut off and the row says so."""
        peek = call.door.peek(call.fields)
        ways = self._routing.ways(peek.model, peek.provider)
        if call.ask or call.accept:
            ways = chosen(ways, call)
        if call.passed is not None or call.principal.user.id in self._holders:
            ways = await self._own_keys(call, ways)
        begin = self._begin
        if self._scopes is not None and self._scopes.active:
            meter, ways = await self._scopes.admit(call, ways, partial(self._admit, call, peek))
            begin = self._begin_in_scopes
        else:
            if self._admission.known(call.principal.user.id) is None:
                await self._admission.standing(call.principal.user)
            meter, ways = self._admit(call, peek, ways)
        try:
            routes = ways.routes if ways.alone else self._router.ordered(ways, stream=peek.stream)
            first = await self._router.ask(meter, routes, ways.larger, begin)
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
            if ways.offered or ways.offered_larger:
                propose(error, meter, ways)
            raise
        finally:
            if meter.exchange is not None:
                meter.exchange.close()
            meter.settle(Outcome.FAILED, "internal_error")  # does nothing when the row is written

    async def own_ways(self, call: Call, ways: Ways) -> Ways:
        """The same, paid by keys of the caller's own where it has some."""
        has_some = call.passed is not None or call.principal.user.id in self._holders
        return await self._own_keys(call, ways) if has_some else ways

    # --- admit

    def _admit(self, call: Call, peek: Peek, ways: Ways, others: Sequence[ScopeStanding] = ()) -> tuple[Meter, Ways]:
        """Set the worst case of all that may answer aside; those are what is left of `ways`. Raises LimitExceeded,
        InvalidRequest or StorageUnavailable."""
        user = call.principal.user
        standing = self._admission.known(user.id)
        assert standing is not None  # noqa: S101 - loaded by the caller
        capped = standing.limits.monthly_spend_nano is not None or (bool(others) and any(map(caps_spend, others)))
        if capped and not ways.priced and not self._rules.allow_unpriced:
            ways = _priced(ways)
        route = ways.routes[0]
        likely = likely_input(call.size, peek.images)
        dearest = ways.price
        ask = self.ask_of(call, peek, ways)
        if call.max_nano is not None:
            check_max_cost(ask, call.max_nano)
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
                customer=call.customer,
                run=call.run,
            ),
            others,
        )
        meter = Meter(call, peek, hold, route, likely, self._admission, self._counters, self._clock)
        budgeted = (capped and ways.price is not FREE) or standing.limits.daily_tokens is not None
        if others and not budgeted:
            budgeted = any(map(caps_tokens, others))
        granted, wanted = hold.grant.output_cap, peek.output_cap
        if hold.grant.lowered or (budgeted and (wanted is None or wanted > granted)):
            meter.set_cap = granted
        return meter, ways

    async def _begin_in_scopes(self, meter: Meter, route: Route) -> bytes:
        """An attempt; what is set aside for it goes to its provider first."""
        assert self._scopes is not None  # noqa: S101 - the caller has looked
        await self._scopes.move(meter.hold, route.slot.row.id)
        return await self._begin(meter, route)

    def ask_of(self, call: Call, peek: Peek, ways: Ways) -> Ask:
        """What a call may need: output as long as the caller asks, else the default, never above the models' own."""
        bound = input_bound(call.size, self._rules.bytes_per_token, tools="tools" in call.fields, images=peek.images)
        wanted = peek.output_cap if peek.output_cap is not None else self._rules.default_max_output
        return Ask(
            input_bound=max(bound, _largest_window(ways)) if peek.kept else bound,
            output_cap=min(wanted, ways.most_output) if ways.most_output else wanted,
            choices=peek.choices,
            price=ways.price,
        )

    # --- stream

    async def _stream(self, meter: Meter, out: bytes, reply: Reply) -> None:
        call, road, exchange = meter.call, meter.road, meter.exchange
        assert road is not None and exchange is not None  # noqa: S101, PT018 - the attempt has set both
        await reply.start(call.door.stream_type, meter.receipt())
        ended = False
        try:
            while True:
                if road.seen.failed:  # the provider may repeat the key that it was shown
                    out = hidden(out, b"".join(meter.shown))
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
                last = hidden(last, b"".join(meter.shown))
                self._router.broke(meter.route, ProviderError.code)
            meter.settle(Outcome.CUT if road.seen.failed else Outcome.OK, "provider_error" if road.seen.failed else "")
        except DominionError as error:
            if isinstance(error, ProviderError):
                hide_key(error, meter)
            LOG.info("%s: the stream of %s broke: %s", call.id, meter.route.slot.row.id, error.message)
            last = b"" if ended else call.door.write_stream_error(error, call.id)
            if isinstance(error, ProviderError) and not ended:
                self._router.broke(meter.route, error.code)
            meter.settle(Outcome.CUT, error.code)
        await reply.end(last)


async def _refused(_call: Call, _ways: Ways) -> Ways:
    raise InvalidRequest("Provider keys cannot be passed here.", param="apiKey")


def _largest_window(ways: Ways) -> int:
    """The most tokens that any prompt can have which the models take."""
    sizes = [route.row.context_window if route.row else 0 for route in (*ways.routes, *ways.fallback, *ways.larger)]
    return max(sizes) if all(sizes) else LARGEST_WINDOW


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
