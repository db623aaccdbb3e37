"""The list of models that callers can use, in the shape that each door's SDK expects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec.structs import replace

from dominion.domain.contracts import Clock
from dominion.domain.errors import UnknownModel
from dominion.domain.providers import ModelRow, Slot
from dominion.domain.usage import Price
from dominion.services.offer.lineup import Lineup

RELEASED = 1_767_225_600
"""The OpenAI shape wants a creation time; models here have none, so all carry 2026-01-01T00:00:00Z."""
PARTS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
"""The parts of a price, as `Price` names them."""

Shape = Literal["openai", "anthropic", "gemini"]
"""Whose API a caller of the list speaks: all of them have it at the same path."""


class Listing(Protocol):
    """The catalogue, as far as a list needs it."""

    def models(self, slots: Sequence[Slot]) -> list[ModelRow]:
        """Rows of models that the slots can answer."""


class ModelList:
    """Models by door. `price` is asked with provider id, model and epoch seconds."""

    def __init__(
        self,
        catalogue: Listing,
        lineup: Lineup,
        price: Callable[[str, str, float], Price | None],
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._lineup = lineup
        self._price = price
        self._clock = clock

    async def native(self) -> dict[str, Any]:
        """Everything known of each model; prices in US dollars per million tokens."""
        return {"models": [show_model(row) for row in self._priced()]}

    def listed(self, shape: Shape) -> dict[str, Any]:
        """The list of one API, as one page."""
        rows = [_SHAPES[shape](row) for row in self._priced()]
        match shape:
            case "openai":
                return {"object": "list", "data": rows}
            case "anthropic":
                ends = {"first_id": rows[0]["id"] if rows else None, "last_id": rows[-1]["id"] if rows else None}
                return {"data": rows, "has_more": False, **ends}
            case "gemini":
                return {"models": rows}

    def one(self, model: str, shape: Shape) -> dict[str, Any]:
        """One model of one API. Raises UnknownModel."""
        for row in self._priced():
            if model in (row.id, f"{row.provider}/{row.id}"):
                return _SHAPES[shape](row)
        raise UnknownModel(f"There is no model {model[:100]!r}.", param="model")

    def _priced(self) -> list[ModelRow]:
        """The models, each with its price now."""
        now = self._clock.now()
        return [
            replace(row, price=self._price(row.provider, row.sends or row.id, now))
            for row in self._catalogue.models(self._lineup.slots)
        ]


def show_model(row: ModelRow) -> dict[str, Any]:
    """A model as JSON shows it, by its price now; money in US dollars, as decimal text; null: not known."""
    price = row.price
    return {
        "id": row.id,
        "provider": row.provider,
        "name": row.name or row.id,
        "context_window": row.context_window or None,
        "max_output": row.max_output or None,
        "supports_streaming": not row.abilities or "streaming" in row.abilities,
        "abilities": sorted(row.abilities),
        **show_price(price),
        "cost_per_input_token": None if price is None else per_token(price.input),
        "cost_per_output_token": None if price is None else per_token(price.output),
        "deprecated": row.deprecated or None,
        "available": True,
    }


def show_price(price: Price | None) -> dict[str, str | None]:
    """The first tier of a price in US dollars per million tokens; what the cache has no price for costs as input does.

    All null: the price is not known.
    """

    def shown(part: str) -> str | None:
        pico = getattr(price, part, None)
        return None if price is None else per_million(price.input if pico is None else pico)

    return {f"{part}_usd_per_million": shown(part) for part in PARTS}


def per_million(pico_per_token: int) -> str:
    """Pico-dollars per token as US dollars per million tokens, e.g. 2_500_000 is "2.5"."""
    return _decimal(pico_per_token, 6)


def per_token(pico: int) -> str:
    """Pico-dollars as US dollars, e.g. 2_500_000 is "0.0000025"."""
    return _decimal(pico, 12)


def _decimal(value: int, places: int) -> str:
    whole, part = divmod(value, 10**places)
    return f"{whole}.{part:0{places}d}".rstrip("0").rstrip(".")


def _openai(row: ModelRow) -> dict[str, Any]:
    """What OpenAI's own rows have, then what is known besides; its SDKs keep further fields."""
    told = show_model(row)
    del told["provider"], told["available"]
    return {"id": row.id, "object": "model", "created": RELEASED, "owned_by": row.provider, **told}


def _anthropic(row: ModelRow) -> dict[str, Any]:
    return {
        "type": "model",
        "id": row.id,
        "display_name": row.name or row.id,
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "deprecated" if row.deprecated else "active",
        "max_input_tokens": row.context_window or None,
        "max_tokens": row.max_output or None,
    }


def _gemini(row: ModelRow) -> dict[str, Any]:
    return {
        "name": f"models/{row.id}",
        "version": "1",
        "displayName": row.name or row.id,
        "inputTokenLimit": row.context_window,
        "outputTokenLimit": row.max_output,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


_SHAPES: Mapping[Shape, Callable[[ModelRow], dict[str, Any]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
}
