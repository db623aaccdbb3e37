"""Answers what a request would cost, with one model or with several, and what of the budget is left. Asks no provider.

A quote costs nothing and writes no row; it counts against the caller's rate.
"""

from typing import Any

import msgspec

from dominion.domain.contracts import Call, Clock, Fields, Peek, Receipt, Reply
from dominion.domain.errors import InvalidRequest
from dominion.domain.usage import usd
from dominion.rules.limits.estimates import likely_input
from dominion.rules.limits.quoting import Quote, quote
from dominion.rules.limits.verdict import Standing
from dominion.rules.prices.choosing import difference_sentence
from dominion.rules.windows import iso, month_end
from dominion.services.completions.completion import Completions
from dominion.services.limits.admission import Admission
from dominion.services.offer.listing import show_price
from dominion.services.offer.routing import Routing

MODELS = "models"
MOST_MODELS = 20
_NAMES = msgspec.json.Decoder(list[str])


class Quoting:
    """Quotes for requests of the native door, which may also name `models`. What a quote says is the most is what
    `completions` would set aside."""

    def __init__(self, routing: Routing, completions: Completions, admission: Admission, clock: Clock) -> None:
        self._routing = routing
        self._completions = completions
        self._admission = admission
        self._clock = clock

    async def answer(self, call: Call, reply: Reply) -> None:
        """Answer one call. Raises a DominionError, such as UnknownModel for any of the models."""
        call, names = _without_models(call)
        peek = call.door.peek(call.fields)
        standing = await self._admission.standing(call.principal.user)
        self._admission.count(standing)
        left = _left(standing)
        quotes = [await self._quoted(call, peek, name) for name in names or [peek.model]]
        first = quotes[0][1]
        answer = {
            "quotes": [_shown(told, each, first, left) for told, each in quotes],
            "budget": {
                "remaining_nano": left,
                "remaining_usd": None if left is None else usd(left),
                "resets_at": iso(month_end(standing.month.number)),
            },
        }
        told = quotes[0][0]
        receipt = Receipt(
            request_id=call.id,
            provider=told["provider"],
            model=told["model"],
            cost_nano=None,
            remaining_nano=left,
            output_cap=None,
            lost=(),
            estimated=True,
        )
        await reply.whole(msgspec.json.encode(answer), receipt)

    async def _quoted(self, call: Call, peek: Peek, name: str) -> tuple[dict[str, Any], Quote]:
        """What is told of a model, and its quote: by the first provider's price likely, by the dearest's at most. The
        price that is shown is the list's also where a key of the caller's own pays, and nothing is charged."""
        ways = await self._completions.own_ways(call, self._routing.ways(name, peek.provider))
        route, own = ways.routes[0], ways.routes[0].own
        told = {
            "model": route.sends,
            "provider": route.slot.row.id,
            "name": (route.row and route.row.name) or name,
            "own_key": own is not None,
            **show_price(route.price if own is None else own.list_price),
        }
        ask = self._completions.ask_of(call, peek, ways)
        return told, quote(ask, likely_input(call.size, peek.images), route.price)


def _without_models(call: Call) -> tuple[Call, list[str]]:
    """The call as it would be sent, and the models that it names besides. Raises InvalidRequest."""
    raw = call.fields.get(MODELS)
    if raw is None:
        return call, []
    try:
        names = _NAMES.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidRequest("'models' must be an array of names.", param=MODELS) from error
    if not 1 <= len(names) <= MOST_MODELS:
        raise InvalidRequest(f"'models' must name 1 to {MOST_MODELS} models.", param=MODELS)
    fields: Fields = {name: value for name, value in call.fields.items() if name != MODELS}
    size = call.size - len(raw) - len(f'"{MODELS}":,')
    return msgspec.structs.replace(call, fields=fields, size=size), names


def _left(standing: Standing) -> int | None:
    """Nano-dollars that are left of the month, None: there is no cap."""
    limit = standing.told.monthly_spend_nano
    return None if limit is None else max(0, limit - standing.month.spend - standing.month.held_spend)


def _shown(told: dict[str, Any], each: Quote, first: Quote, left: int | None) -> dict[str, Any]:
    """One quote as JSON shows it, with its difference from the first. `fits`: the budget has room for the most."""
    return {
        **told,
        "input_tokens": {"likely": each.likely_input, "most": each.most_input},
        "output_tokens": {"likely": each.likely_output, "most": each.most_output},
        "likely_nano": each.likely_nano,
        "likely_usd": None if each.likely_nano is None else usd(each.likely_nano),
        "most_nano": each.most_nano,
        "most_usd": None if each.most_nano is None else usd(each.most_nano),
        "fits": None if left is None or each.most_nano is None else each.most_nano <= left,
        "difference": None if each is first else _difference(first, each),
    }


def _difference(first: Quote, each: Quote) -> dict[str, Any] | None:
    """How much more than the first, negative: less; None where a price is not known."""
    nanos = (first.likely_nano, each.likely_nano, first.most_nano, each.most_nano)
    if None in nanos:
        return None
    a_likely, b_likely, a_most, b_most = (nano or 0 for nano in nanos)
    return {
        "likely_nano": b_likely - a_likely,
        "likely_usd": usd(b_likely - a_likely),
        "most_nano": b_most - a_most,
        "most_usd": usd(b_most - a_most),
        "message": difference_sentence(b_likely - a_likely),
    }
