"""Counting the tokens of a request before it is made: by its provider where that counts, else by a labelled estimate.

Costs nothing and writes no row; it counts against the caller's rate.
"""

import logging
from collections.abc import Sequence

from dominion.credentials.present import hidden
from dominion.domain.contracts import Call, Receipt, Reply, Upstream
from dominion.domain.errors import ProviderError, ProviderRefused
from dominion.domain.providers import Target
from dominion.rules.limits.estimates import likely_input
from dominion.services.completions.count_requests import DOORS, PROVIDERS, DoorCounter, ProviderCounter
from dominion.services.figures.counters import Counters
from dominion.services.limits.admission import Admission
from dominion.services.offer.routing import Route, Routing
from dominion.services.registry.own_keys import OwnKeys
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.seals import only_own, origin_of

LOG = logging.getLogger("dominion.counting")
_LARGEST_ANSWER = 256 * 1024


class Counting:
    """Answers calls that ask how many tokens a request has."""

    def __init__(
        self, routing: Routing, admission: Admission, upstream: Upstream, counters: Counters, own_keys: OwnKeys
    ) -> None:
        self._routing = routing
        self._own_keys = own_keys
        self._admission = admission
        self._upstream = upstream
        self._counters = counters

    async def answer(self, call: Call, reply: Reply) -> None:
        """Answer one call. Raises a DominionError; when the task is cancelled the provider is cut off."""
        door = DOORS[call.door.name]
        ways = self._routing.ways(door.model(call.fields), "auto")
        if call.passed is not None or call.principal.user.id in self._own_keys.holders:
            ways = await self._own_keys.ways(call, ways)
        self._admission.count(await self._admission.standing(call.principal.user))
        body, route = await self._counted(call, door, ways.routes)
        estimated = not body
        if estimated:
            request = door.read_request(call.fields)
            body = door.write_answer(max(1, likely_input(call.size, request.images)))
        receipt = Receipt(
            request_id=call.id,
            provider=route.slot.row.id,
            model=route.sends,
            cost_nano=0,
            remaining_nano=None,
            output_cap=None,
            lost=(),
            estimated=estimated,
            own_key=route.own.kind if route.own is not None and not estimated else "",
        )
        await reply.whole(body, receipt)

    async def _counted(self, call: Call, door: DoorCounter, routes: Sequence[Route]) -> tuple[bytes, Route]:
        """The answer of the first route that counts, or nothing. Raises ProviderRefused."""
        for route in routes:
            counter = PROVIDERS.get(route.dialect.name)
            target = counter.at(route.target) if counter is not None else None
            if counter is None or target is None:
                continue
            try:
                return await self._ask(call, door, counter, route, target), route
            except ProviderError as error:
                if isinstance(error, ProviderRefused) and not counter.partial:
                    raise
                self._counters.attempts_failed[route.slot.row.id, error.code] += 1
                LOG.info("%s: %s did not count (%s)", call.id, route.slot.row.id, error.code)
        return b"", routes[0]

    async def _ask(
        self, call: Call, door: DoorCounter, counter: ProviderCounter, route: Route, target: Target
    ) -> bytes:
        """One provider's count, in the door's words. Raises ProviderError."""
        relayed = counter.dialect.speaks == door.dialect.name and not (
            counter.dialect is GEMINI and b"/publishers/" in target.path
        )
        if relayed:
            body = counter.patch(call.fields, route.sends, call.carried)
        else:
            origin = origin_of(route.dialect.speaks, route.sends, route.slot.row.id)
            request = only_own(door.read_request(call.fields), door.dialect.name, origin)
            body = counter.write_request(request, route)
        named = counter.dialect.carried_headers if relayed else ()
        carried = {name: value for name, value in call.carried.items() if name in named}
        headers = {**dict(counter.dialect.default_headers), **carried}
        extra = b"".join([b"%b: %b\r\n" % item for item in headers.items()])
        if route.authority is not None:
            extra += await route.authority.headers(target.path, body)
        exchange = await self._upstream.send(target, body, extra)
        try:
            answer = await exchange.read(_LARGEST_ANSWER)
            if exchange.status != 200:  # noqa: PLR2004 - the one status that carries an answer
                said = hidden(answer, target.head + extra)  # it may repeat the key that it was shown
                error = route.dialect.read_error(route.slot.row.name, exchange.status, said)
                if counter is not door or route.own is not None:
                    error.verbatim = b""
                if route.own is not None:
                    error.message = route.own.hidden(error.message)
                if route.authority is not None and exchange.status == 401:  # noqa: PLR2004 - the next one renews it
                    route.authority.refused()
                raise error
        finally:
            exchange.close()
        tokens = counter.read_answer(answer)
        return answer if counter is door else door.write_answer(tokens)
