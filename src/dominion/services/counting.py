"""Counting the tokens of a request before it is made: by its provider where that counts, else by a labelled estimate.

Costs nothing and writes no row; it counts against the caller's rate.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from dominion.domain.contracts import Call, Dialect, Fields, Receipt, Reply, Upstream
from dominion.domain.errors import ProviderError, ProviderRefused
from dominion.domain.messages import Request
from dominion.domain.providers import Target
from dominion.rules.estimates import images_in, likely_input
from dominion.services.admission import Admission
from dominion.services.counters import Counters
from dominion.services.routing import Route, Routing
from dominion.wire import gemini_count
from dominion.wire.anthropic_messages import ANTHROPIC_MESSAGES
from dominion.wire.fields import decode_answer, read_object, splice
from dominion.wire.gemini import GEMINI

LOG = logging.getLogger("dominion.counting")
_LARGEST_ANSWER = 256 * 1024
_WRAPPERS = ("generateContentRequest", "generate_content_request")
_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})
"""All that Anthropic's counting takes of what we write; anything else is an error there."""


class _Counted(msgspec.Struct):
    input_tokens: int


_ANTHROPIC_COUNT = msgspec.json.Decoder(_Counted)


class Counter(Protocol):
    """How one API counts, as a door and towards providers."""

    dialect: Dialect

    def at(self, target: Target) -> Target | None:
        """Where a provider counts, by the address of its completions; None where it does not."""

    def model(self, fields: Fields) -> str:
        """The model of a request to count. Raises InvalidRequest."""

    def read_request(self, fields: Fields) -> Request:
        """What is to be counted. Raises InvalidRequest."""

    def patch(self, fields: Fields, model: str) -> bytes:
        """The caller's request for a provider of the same dialect."""

    def write_request(self, request: Request, route: Route) -> bytes:
        """The request for a provider of this dialect."""

    def read_answer(self, body: bytes) -> int:
        """Tokens. Raises UnexpectedResponse."""

    def write_answer(self, tokens: int) -> bytes:
        """The answer for a caller."""


class AnthropicCounter:
    """`Counter` for /v1/messages/count_tokens, whose requests have no output cap."""

    dialect = ANTHROPIC_MESSAGES

    def at(self, target: Target) -> Target | None:
        """Not in the clouds, whose addresses end otherwise."""
        return target.ending(b"/messages", b"/messages/count_tokens")

    def model(self, fields: Fields) -> str:
        """See `Counter`."""
        return self.dialect.peek(_capped(fields)).model

    def read_request(self, fields: Fields) -> Request:
        """See `Counter`."""
        return self.dialect.read_request(_capped(fields))

    def patch(self, fields: Fields, model: str) -> bytes:
        """See `Counter`."""
        return splice(fields, {"model": msgspec.json.encode(model)})

    def write_request(self, request: Request, route: Route) -> bytes:
        """See `Counter`."""
        body = self.dialect.write_request(request, model=route.sends, output_cap=None).body
        return splice({name: raw for name, raw in read_object(body, "").items() if name in _COUNTED}, {})

    def read_answer(self, body: bytes) -> int:
        """See `Counter`."""
        return decode_answer(_ANTHROPIC_COUNT, body).input_tokens

    def write_answer(self, tokens: int) -> bytes:
        """See `Counter`."""
        return msgspec.json.encode({"input_tokens": tokens})


class GeminiCounter:
    """`Counter` for :countTokens, of AI Studio and of Vertex AI."""

    dialect = GEMINI
    read_request = staticmethod(gemini_count.read_count_request)
    read_answer = staticmethod(gemini_count.read_count_answer)
    write_answer = staticmethod(gemini_count.write_count_answer)

    def at(self, target: Target) -> Target | None:
        """Both have it beside :generateContent."""
        return target.ending(b":generateContent", b":countTokens")

    def model(self, fields: Fields) -> str:
        """The model of the address; the request may be wrapped, which is read when it must be."""
        wrapped = any(name in fields for name in _WRAPPERS)
        return (self.read_request(fields) if wrapped else self.dialect.peek(fields)).model

    def patch(self, fields: Fields, model: str) -> bytes:
        """See `Counter`."""
        return gemini_count.patch_count_request(fields, model=model)

    def write_request(self, request: Request, route: Route) -> bytes:
        """AI Studio wants a whole request wrapped, Vertex AI bare."""
        wrapped = b"/publishers/" not in route.target.path
        return gemini_count.write_count_request(request, model=route.sends, wrapped=wrapped).body


COUNTERS: Mapping[str, Counter] = {counter.dialect.name: counter for counter in (AnthropicCounter(), GeminiCounter())}
"""By the name of the dialect, of doors and of providers."""


class Counting:
    """Answers calls that ask how many tokens a request has."""

    def __init__(self, routing: Routing, admission: Admission, upstream: Upstream, counters: Counters) -> None:
        self._routing = routing
        self._admission = admission
        self._upstream = upstream
        self._counters = counters

    async def answer(self, call: Call, reply: Reply) -> None:
        """Answer one call. Raises a DominionError; when the task is cancelled the provider is cut off."""
        door = COUNTERS[call.door.name]
        routes = self._routing.routes(door.model(call.fields), "auto")
        self._admission.count(await self._admission.standing(call.principal.user))
        body, route = await self._counted(call, door, routes)
        estimated = not body
        if estimated:
            request = door.read_request(call.fields)
            body = door.write_answer(max(1, likely_input(call.size, images_in(request))))
        receipt = Receipt(
            request_id=call.id,
            provider=route.slot.row.id,
            model=route.sends,
            cost_nano=0,
            remaining_nano=None,
            output_cap=None,
            lost=(),
            estimated=estimated,
        )
        await reply.whole(body, receipt)

    async def _counted(self, call: Call, door: Counter, routes: Sequence[Route]) -> tuple[bytes, Route]:
        """The answer of the first route that counts, or nothing. Raises ProviderRefused."""
        for route in routes:
            counter = COUNTERS.get(route.dialect.name)
            target = counter.at(route.target) if counter is not None else None
            if counter is None or target is None:
                continue
            try:
                return await self._ask(call, door, counter, route, target), route
            except ProviderRefused:
                raise
            except ProviderError as error:
                self._counters.attempts_failed[route.slot.row.id, error.code] += 1
                LOG.info("%s: %s did not count (%s)", call.id, route.slot.row.id, error.code)
        return b"", routes[0]

    async def _ask(self, call: Call, door: Counter, counter: Counter, route: Route, target: Target) -> bytes:
        """One provider's count, in the door's words. Raises ProviderError."""
        relayed = counter is door and not (counter.dialect is GEMINI and b"/publishers/" in target.path)
        if relayed:
            body = counter.patch(call.fields, route.sends)
        else:
            body = counter.write_request(door.read_request(call.fields), route)
        carried = call.carried if counter is door else {}
        headers = {**dict(counter.dialect.default_headers), **carried}
        extra = b"".join([b"%b: %b\r\n" % item for item in headers.items()])
        if route.authority is not None:
            extra += await route.authority.headers(target.path, body)
        exchange = await self._upstream.send(target, body, extra)
        try:
            answer = await exchange.read(_LARGEST_ANSWER)
            if exchange.status != 200:  # noqa: PLR2004 - the one status that carries an answer
                error = route.dialect.read_error(route.slot.row.name, exchange.status, answer)
                if counter is not door:
                    error.verbatim = b""
                if route.authority is not None and exchange.status == 401:  # noqa: PLR2004 - the next one renews it
                    route.authority.refused()
                raise error
        finally:
            exchange.close()
        tokens = counter.read_answer(answer)
        return answer if counter is door else door.write_answer(tokens)


def _capped(fields: Fields) -> Fields:
    """With the output cap that Anthropic's completions must have, above any budget for thinking."""
    return {"max_tokens": msgspec.Raw(b"1000000"), **fields}
