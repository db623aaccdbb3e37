"""The list of models that callers can use, in the shape that each door's SDK expects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from dominion.domain.contracts import Clock
from dominion.domain.errors import UnknownModel
from dominion.domain.providers import ModelRow, Slot
from dominion.domain.usage import Price

RELEASED = 1_767_225_600
"""The OpenAI shape wants a creation time; models here have none, so all carry 2026-01-01T00:00:00Z."""


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
        slots: Sequence[Slot],
        price: Callable[[str, str, float], Price | None],
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._slots = slots
        self._price = price
        self._clock = clock

    async def native(self) -> dict[str, Any]:
        """Everything known of each model; prices in US dollars per million tokens."""
        now = self._clock.now()
        return {"models": [self._show(row, now) for row in self._catalogue.models(self._slots)]}

    def listed(self, shape: Shape) -> dict[str, Any]:
        """The list of one API, as one page."""
        rows = [_SHAPES[shape](row) for row in self._catalogue.models(self._slots)]
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
        for row in self._catalogue.models(self._slots):
            if model in (row.id, f"{row.provider}/{row.id}"):
                return _SHAPES[shape](row)
        raise UnknownModel(f"There is no model {model[:100]!r}.", param="model")

    def _show(self, row: ModelRow, now: float) -> dict[str, Any]:
        price = self._price(row.provider, row.sends or row.id, now)
        return {
            "id": row.id,
            "provider": row.provider,
            "name": row.name or row.id,
            "context_window": row.context_window or None,
            "max_output": row.max_output or None,
            "input_usd_per_million": None if price is None else per_million(price.input),
            "output_usd_per_million": None if price is None else per_million(price.output),
            "deprecated": row.deprecated or None,
            "available": True,
        }


def per_million(pico_per_token: int) -> str:
    """Pico-dollars per token as US dollars per million tokens, e.g. 2_500_000 is "2.5"."""
    whole, part = divmod(pico_per_token, 1_000_000)
    return f"{whole}.{part:06d}".rstrip("0").rstrip(".")


def _openai(row: ModelRow) -> dict[str, Any]:
    return {"id": row.id, "object": "model", "created": RELEASED, "owned_by": row.provider}


def _anthropic(row: ModelRow) -> dict[str, Any]:
    return {"type": "model", "id": row.id, "display_name": row.name or row.id, "created_at": "2026-01-01T00:00:00Z"}


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
