"""Which providers can answer a model, in which order. Decides once per model name and remembers it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from dominion.domain.contracts import Authority, Clock, Dialect
from dominion.domain.errors import NotFound
from dominion.domain.providers import ModelRow, Slot, Target
from dominion.domain.usage import Price
from dominion.rules.ordering import ceiling

LOG = logging.getLogger("dominion.routing")
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


class Ways(msgspec.Struct, frozen=True, eq=False):
    """All that may answer one request: `routes`, never empty; `fallback`, other models for when all of them fail; and
    `larger`, for a prompt that is too long. `alone`: one route and no fallback.

    `price` is one that no answer of any of them costs more than, None: no price is known. `most_output` is the largest
    output of the models, 0: at least one has no known limit.
    """

    routes: list[Route]
    fallback: list[Route]
    larger: list[Route]
    alone: bool
    price: Price | None
    priced: bool
    most_output: int

    @classmethod
    def of(cls, routes: list[Route], fallback: list[Route], larger: list[Route]) -> "Ways":
        """With what must be known of all of them."""
        every = [*routes, *fallback, *larger]
        most = [route.row.max_output if route.row else 0 for route in every]
        return cls(
            routes,
            fallback,
            larger,
            alone=len(routes) == 1 and not fallback,
            price=ceiling(route.price for route in every if route.price is not None),
            priced=all(route.price is not None for route in every),
            most_output=max(most) if all(most) else 0,
        )

    def only_priced(self) -> "Ways | None":
        """Without the routes whose price is not known; None when none is left."""
        routes, fallback, larger = (
            [route for route in some if route.price is not None] for some in (self.routes, self.fallback, self.larger)
        )
        return Ways.of(routes or fallback, fallback if routes else [], larger) if routes or fallback else None


class Resolver(Protocol):
    """The catalogue, as far as routing needs it."""

    def resolve(self, model: str, provider: str, slots: Sequence[Slot]) -> list[tuple[Slot, str, ModelRow | None]]:
        """Slots that can answer, best first. Raises UnknownModel or UnknownProvider."""


class Routing:
    """Model names to routes. `price` takes provider id, model and epoch seconds; `authorities` go by provider id.

    `fallback` are models, each "provider/model" or a name, that are asked after all that serve the wanted one failed.
    `larger` says which model takes prompts that are too long for another, by the names that callers use.
    """

    def __init__(
        self,
        catalogue: Resolver,
        slots: Sequence[Slot],
        dialects: Mapping[str, Dialect],
        price: Callable[[str, str, float], Price | None],
        clock: Clock,
        authorities: Mapping[str, Authority],
        *,
        fallback: Sequence[str] = (),
        larger: Mapping[str, str] | None = None,
    ) -> None:
        self._authorities = authorities
        self._catalogue = catalogue
        self._slots = slots
        self._dialects = dialects
        self._price = price
        self._clock = clock
        self._fallback = fallback
        self._larger = larger or {}
        self._priced_at = 0
        self._ways: dict[tuple[str, str], Ways] = {}

    def routes(self, model: str, provider: str) -> list[Route]:
        """The routes for a model, never empty. Raises UnknownModel or UnknownProvider."""
        return self.ways(model, provider).routes

    def ways(self, model: str, provider: str) -> Ways:
        """The same with what else may answer. Raises UnknownModel or UnknownProvider."""
        now = self._clock.now()
        half_hour = int(now) // PRICE_SECONDS
        if half_hour != self._priced_at or len(self._ways) > REMEMBERED:
            self._ways, self._priced_at = {}, half_hour
        found = self._ways.get((model, provider))
        if found is None:
            found = self._ways[model, provider] = self._find(model, provider, now)
        return found

    def _find(self, model: str, provider: str, now: float) -> Ways:
        routes = self._resolve(model, provider, now)
        fallback = [route for name in self._fallback for route in self._configured(name, now)]
        larger = self._configured(self._larger[model], now) if model in self._larger else []
        return Ways.of(routes, [route for route in fallback if not _among(route, routes)], larger)

    def _configured(self, model: str, now: float) -> list[Route]:
        """The routes of a model that the operator's file names; none when nobody serves it."""
        try:
            return self._resolve(model, "auto", now)
        except NotFound as error:
            LOG.warning("The model %s is set as a substitute, but: %s", model, error.message)
            return []

    def _resolve(self, model: str, provider: str, now: float) -> list[Route]:
        return [
            self._route(slot, sends, row, now)
            for slot, sends, row in self._catalogue.resolve(model, provider, self._slots)
        ]

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


def _among(route: Route, routes: list[Route]) -> bool:
    return any(route.slot is other.slot and route.sends == other.sends for other in routes)
