"""Which providers can answer a model, in which order. Decides once per model name and remembers it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from dominion.domain.contracts import Authority, Clock, Dialect
from dominion.domain.errors import NotFound, UnknownModel
from dominion.domain.own_keys import OwnKey
from dominion.domain.providers import ModelRow, Slot, Target
from dominion.domain.usage import Price
from dominion.rules.routing.ordering import ceiling
from dominion.services.offer.lineup import Lineup

LOG = logging.getLogger("dominion.routing")
AUTO = "auto"
REMEMBERED = 2_000
PRICE_SECONDS = 1_800
"""Prices are dated, and some hold for hours of the day only (DeepSeek's): they change at half hours at the most."""


class Route(msgspec.Struct, frozen=True, eq=False):
    """One way to answer: a slot, its dialect, the model name to send, what is known of model and price, the addresses
    of whole answers and of streams, and what proves the operator's account where the address itself does not.

    `natives` are the same for callers of other dialects that the slot also speaks, by the names of the dialects.
    `instead_of` is the wanted route for which it stands in, None where it serves the wanted model. `own`: the targets
    show a key of the caller's own, and the price is nothing.
    """

    slot: Slot
    dialect: Dialect
    sends: str
    row: ModelRow | None
    price: Price | None
    target: Target
    stream_target: Target
    authority: Authority | None = None
    natives: dict[str, "Route"] = {}
    instead_of: "Route | None" = None
    own: OwnKey | None = None

    @property
    def name(self) -> str:
        """For people and for the header x-dominion-accept: "provider/model"."""
        return f"{self.slot.row.id}/{self.sends}"


class Ways(msgspec.Struct, frozen=True, eq=False):
    """All that may answer one request: `routes`, never empty; `fallback`, other models for when all of them fail; and
    `larger`, for a prompt that is too long. `offered` and `offered_larger` are both for callers who want to be asked
    first: they never answer, they are only proposed. `alone`: one route and no fallback.

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
    offered: list[Route]
    offered_larger: list[Route]

    @classmethod
    def of(
        cls,
        routes: list[Route],
        fallback: list[Route],
        larger: list[Route],
        offered: Sequence[Route] = (),
        offered_larger: Sequence[Route] = (),
    ) -> "Ways":
        """With what must be known of all of them."""
        every = [*routes, *fallback, *larger]
        most = [route.row.max_output if route.row else 0 for route in every]
        return cls(
            routes,
            fallback,
            larger,
            alone=len(routes) == 1 and not fallback,
            price=ceiling(route.price for route in every if route.price is not None),
            priced=all(route.price is not None for route in (*every, *offered, *offered_larger)),
            most_output=max(most) if all(most) else 0,
            offered=list(offered),
            offered_larger=list(offered_larger),
        )

    def only_priced(self) -> "Ways | None":
        """Without the routes whose price is not known; None when none is left."""
        every = (self.routes, self.fallback, self.larger, self.offered, self.offered_larger)
        routes, fallback, *others = ([route for route in some if route.price is not None] for some in every)
        return Ways.of(routes or fallback, fallback if routes else [], *others) if routes or fallback else None

    def without(self, provider: str) -> "Ways | None":
        """Without the routes of one provider; None when none is left."""
        every = (self.routes, self.fallback, self.larger, self.offered, self.offered_larger)
        routes, fallback, *others = ([route for route in some if route.slot.row.id != provider] for some in every)
        return Ways.of(routes or fallback, fallback if routes else [], *others) if routes or fallback else None

    def asking(self) -> "Ways":
        """For a caller who wants to be asked before another model answers."""
        return Ways.of(self.routes, [], [], [*self.fallback, *self.offered], [*self.larger, *self.offered_larger])

    def accepting(self, name: str) -> "Ways | None":
        """For a caller who has agreed to another model, by its name; None when it is not among those offered.

        Those that come after it are offered in turn.
        """
        asked = self.asking()
        for offered in (asked.offered, asked.offered_larger):
            for place, route in enumerate(offered, 1):
                if route.name == name:
                    return Ways.of([route], [], [], offered[place:])
        return None


class Resolver(Protocol):
    """The catalogue, as far as routing needs it."""

    def resolve(self, model: str, provider: str, slots: Sequence[Slot]) -> list[tuple[Slot, str, ModelRow | None]]:
        """Slots that can answer, best first. Raises UnknownModel or UnknownProvider."""


class Routing:
    """Model names to routes, over whoever is in `lineup`. `price` takes provider id, model and epoch seconds.

    `fallback` are models, each "provider/model" or a name, that are asked after all that serve the wanted one failed.
    `larger` says which model takes prompts that are too long for another, by the names that callers use. `ask_first`:
    neither answers unless the caller agrees. `aliases` are names for models, best first, where no provider is named;
    they go before the catalogue's, so that one of these can be served otherwise.
    """

    def __init__(
        self,
        catalogue: Resolver,
        lineup: Lineup,
        dialects: Mapping[str, Dialect],
        price: Callable[[str, str, float], Price | None],
        clock: Clock,
        *,
        fallback: Sequence[str] = (),
        larger: Mapping[str, str] | None = None,
        ask_first: bool = False,
        aliases: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._lineup = lineup
        self._version = lineup.version
        self._dialects = dialects
        self._price = price
        self._clock = clock
        self._fallback = fallback
        self._larger = larger or {}
        self._ask_first = ask_first
        self._aliases = aliases or {}
        self._priced_at = 0
        self._ways: dict[tuple[str, str], Ways] = {}

    def routes(self, model: str, provider: str) -> list[Route]:
        """The routes for a model, never empty. Raises UnknownModel or UnknownProvider."""
        return self.ways(model, provider).routes

    def ways(self, model: str, provider: str) -> Ways:
        """The same with what else may answer. Raises UnknownModel or UnknownProvider."""
        now = self._clock.now()
        half_hour = int(now) // PRICE_SECONDS
        version = self._lineup.version
        if half_hour != self._priced_at or version != self._version or len(self._ways) > REMEMBERED:
            self._ways, self._priced_at, self._version = {}, half_hour, version
        found = self._ways.get((model, provider))
        if found is None:
            found = self._ways[model, provider] = self._find(model, provider, now)
        return found

    def _find(self, model: str, provider: str, now: float) -> Ways:
        routes = self._serving(model, provider, now)
        names = (model, routes[0].name, routes[0].sends)
        larger = next((self._larger[name] for name in names if name in self._larger), None)
        ways = Ways.of(
            routes,
            self._standing_in(self._fallback, routes, now),
            self._standing_in(() if larger is None else (larger,), routes, now),
        )
        return ways.asking() if self._ask_first else ways

    def _serving(self, model: str, provider: str, now: float) -> list[Route]:
        """The routes of a model or an alias."""
        if model not in self._aliases or provider != AUTO:
            return self._resolve(model, provider, now)
        routes = self._configured(self._aliases[model], now)
        if not routes:
            raise UnknownModel(f"No provider here serves what {model!r} stands for.", param="model")
        return routes

    def _standing_in(self, models: Sequence[str], wanted: list[Route], now: float) -> list[Route]:
        """The routes of other models than the wanted one. They may be aliases."""
        names = [name for model in models for name in self._aliases.get(model, (model,))]
        return [
            msgspec.structs.replace(route, instead_of=wanted[0])
            for route in self._configured(names, now)
            if not any(_same(route, each) for each in wanted)
        ]

    def _configured(self, models: Sequence[str], now: float) -> list[Route]:
        """The routes of models that the operator's file names, each once; none of those that nobody serves."""
        routes: list[Route] = []
        for model in models:
            try:
                found = self._resolve(model, AUTO, now)
            except NotFound as error:
                LOG.warning("The configuration names the model %s, but: %s", model, error.message)
                continue
            routes += [route for route in found if not any(_same(route, each) for each in routes)]
        return routes

    def _resolve(self, model: str, provider: str, now: float) -> list[Route]:
        return [
            self._route(slot, sends, row, now)
            for slot, sends, row in self._catalogue.resolve(model, provider, self._lineup.slots)
        ]

    def _route(self, slot: Slot, sends: str, row: ModelRow | None, now: float) -> Route:
        target = slot.target.for_model(sends)
        route = Route(
            slot=slot,
            dialect=self._dialects[slot.row.wire],
            sends=sends,
            row=row,
            price=self._price(slot.row.id, sends, now),
            target=target,
            stream_target=slot.stream_target.for_model(sends) if slot.stream_target is not None else target,
            authority=self._lineup.authorities.get(slot.row.id),
        )
        for name, also in slot.also:
            if name in self._dialects:
                at = also.for_model(sends)
                changes = {"dialect": self._dialects[name], "target": at, "stream_target": at}
                route.natives[name] = msgspec.structs.replace(route, natives={}, **changes)
        return route


def _same(route: Route, other: Route) -> bool:
    return route.slot == other.slot and route.sends == other.sends
