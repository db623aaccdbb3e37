"""Other models with the caller's consent: what is proposed, what it costs more, and what an agreement leads to."""

from dominion.domain.contracts import Call
from dominion.domain.errors import (
    ContextOverflow,
    DominionError,
    InvalidRequest,
    ProviderError,
    ProviderRefused,
    SwitchProposed,
)
from dominion.domain.usage import Usage, usd
from dominion.rules.prices.choosing import difference, difference_sentence
from dominion.services.completions.metering import Meter
from dominion.services.offer.listing import per_million
from dominion.services.offer.routing import Route, Ways


def chosen(ways: Ways, call: Call) -> Ways:
    """What may answer a caller who wants to be asked, or has agreed. Raises InvalidRequest for what is not offered."""
    if not call.accept:
        return ways.asking()
    accepted = ways.accepting(call.accept)
    if accepted is None:
        raise InvalidRequest(
            f"{call.accept[:100]!r} does not stand in for this model here.",
            action="Send the request without x-dominion-accept, and see what is proposed.",
            param="x-dominion-accept",
        )
    return accepted


def propose(error: DominionError, meter: Meter, ways: Ways) -> None:
    """Raises SwitchProposed when all who may answer failed, the last with `error`, and there is a model to offer."""
    too_long = isinstance(error, ContextOverflow)
    offered = ways.offered_larger if too_long else ways.offered
    elsewhere = too_long or (isinstance(error, ProviderError) and not isinstance(error, ProviderRefused))
    if not (offered and elsewhere):
        return
    route = offered[0]
    more = {}
    request = None
    wanted = (route.instead_of or route).price
    if route.price is not None and wanted is not None:
        longest = meter.hold.grant.output_cap * meter.peek.choices
        request = difference(wanted, route.price, Usage(meter.likely_input, longest))
        more = {
            "more_input_usd_per_million": _per_million(route.price.input - wanted.input),
            "more_output_usd_per_million": _per_million(route.price.output - wanted.output),
            "more_request_usd": usd(request),
        }
    question = f"Switch to {_named(route)} at {route.slot.row.name}?"
    said = "What it costs more is not known" if request is None else difference_sentence(request)
    raise SwitchProposed(f"{error.message} {question} {said}.", model=route.name, **more) from error


def _named(route: Route) -> str:
    return (route.row and route.row.name) or route.sends


def _per_million(pico: int) -> str:
    return f"{'-' if pico < 0 else ''}{per_million(abs(pico))}"
