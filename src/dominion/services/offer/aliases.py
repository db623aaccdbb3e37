"""The operator's own names for models, in the list of what callers can ask for."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from dominion.domain.errors import NotFound
from dominion.domain.providers import ModelRow, Slot
from dominion.services.offer.listing import Listing
from dominion.services.offer.routing import AUTO, Resolver


class Catalogue(Listing, Resolver, Protocol):
    """What the list and the routing need of it."""


class WithAliases:
    """A `Listing` with a row for each alias that somebody serves: what is known of its first model, by its own name."""

    def __init__(self, catalogue: Catalogue, aliases: Mapping[str, Sequence[str]]) -> None:
        self._catalogue = catalogue
        self._aliases = aliases

    def models(self, slots: Sequence[Slot]) -> list[ModelRow]:
        """Rows of models that the slots can answer."""
        rows = {row.id: row for row in self._catalogue.models(slots)}
        for alias, models in self._aliases.items():
            for model in models:
                try:
                    slot, sends, row = self._catalogue.resolve(model, AUTO, slots)[0]
                except NotFound:
                    continue
                known = row or ModelRow(id=sends, provider=slot.row.id)
                rows[alias] = replace(known, id=alias, sends=sends, name=alias)
                break
        return list(rows.values())
