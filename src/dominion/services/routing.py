"""Which providers can answer a model, in which order. Decides once per model name and remembers it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from dominion.domain.contracts import Authority, Clock, Dialect
from dominion.domain.providers import ModelRow, Slot, Target
from dominion.domain.usage import Price

REMEMBERED = 2_000
PRICE_SECONDS = 1_800
"""Prices are dated, and some hold for hours of the day only (DeepSeek's): they change at half hours at the most."""


class Route(msgspec.Struct, frozen=True, eq=False):
    """One way to answer: a slot, its dialect, the model name to send, what is known of model and price, the addresses
    of whole answers and of streams, and what proves the operator's account where the address itself does not."""

    slot: Slot
    dialect: Dialect
    sends: str
    row: ModelRow | None
    price: Price | None
    target: Target
    stream_target: Target
    authority: Authority | None = None


class Resolver(Protocol):
    """The catalogue, as far as routing needs it."""

    def resolve(self, model: str, provider: str, slots: Sequence[Slot]) -> list[tuple[Slot, str, ModelRow | None]]:
        """Slots that can answer, best first. Raises UnknownModel or UnknownProvider."""


class Routing:
    """Model names to routes. `price` takes provider id, model and epoch seconds; `authorities` go by provider id."""

    def __init__(
        self,
        catalogue: Resolver,
        slots: Sequence[Slot],
        dialects: Mapping[str, Dialect],
        price: Callable[[str, str, float], Price | None],
        clock: Clock,
        authorities: Mapping[str, Authority],
    ) -> None:
        self._authorities = authorities
        self._catalogue = catalogue
        self._slots = slots
        self._dialects = dialects
        self._price = price
        self._clock = clock
        self._priced_at = 0
        self._routes: dict[tuple[str, str], list[Route]] = {}

    def routes(self, model: str, provider: str) -> list[Route]:
        """The routes for a model, never empty. Raises UnknownModel or UnknownProvider."""
        now = self._clock.now()
        half_hour = int(now) // PRICE_SECONDS
        if half_hour != self._priced_at or len(self._routes) > REMEMBERED:
            self._routes, self._priced_at = {}, half_hour
        found = self._routes.get((model, provider))
        if found is None:
            found = [
                self._route(slot, sends, row, now)
                for slot, sends, row in self._catalogue.resolve(model, provider, self._slots)
            ]
            self._routes[model, provider] = found
        return found

    def _route(self, slot: Slot, sends: str, row: ModelRow | None, now: float) -> Route:
        target = slot.target.for_model(sends)
        return Route(
            slot=slot,
            dialect=self._dialects[slot.row.wire],
            sends=sends,
            row=row,
            price=self._price(slot.row.id, sends, now),
            target=target,
            stream_target=slot.stream_target.for_model(sends) if slot.stream_target is not None else target,
            authority=self._authorities.get(slot.row.id),
        )
