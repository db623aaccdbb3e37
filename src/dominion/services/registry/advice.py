"""What models cost and which one to take: for operators who choose. Asks no provider and never sees a key."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, get_args

from msgspec.structs import replace

from dominion.domain.contracts import Clock
from dominion.domain.errors import InvalidRequest
from dominion.domain.providers import ModelRow, Origin, ProviderRow, Slot, Target
from dominion.domain.usage import Price, Usage, nano_from_usd, usd
from dominion.providers.catalog import AUTO, STUB, Catalogue
from dominion.rules.prices.choosing import (
    LOADS,
    Task,
    difference,
    difference_sentence,
    dollars,
    estimate_cost,
    recommend,
)
from dominion.services.offer.lineup import Lineup
from dominion.services.offer.listing import per_million, show_model

NOWHERE = Target(Origin("", "", 0), b"")
"""The address of what is only talked about."""


class Named(NamedTuple):
    """A model by the name that somebody wrote, with its price now."""

    row: ModelRow
    price: Price


class Advice:
    """Prices by model. `price` as in `PriceBook.price`; `learn` fetches the prices of providers that nobody has used.

    A model need not be configured here: who thinks of registering its provider asks what it would cost.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        lineup: Lineup,
        price: Callable[[str, str, float], Price | None],
        learn: Callable[[Iterable[ProviderRow]], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._lineup = lineup
        self._price = price
        self._learn = learn
        self._clock = clock
        self._every = [
            Slot(row, NOWHERE, default_model=row.default_model)
            for row in catalogue.providers.values()
            if row.id != STUB
        ]

    async def estimate(self, model: str, input_tokens: int, output_tokens: int) -> dict[str, Any]:
        """What a request costs, nothing of it cached. Raises UnknownModel, InvalidRequest where no price is known."""
        return _estimated(await self._named(model), Usage(input_tokens, output_tokens))

    async def difference(self, first: str, second: str, input_tokens: int, output_tokens: int) -> dict[str, Any]:
        """What a request costs more with the second model, also as a sentence. Raises as `estimate`."""
        tokens = Usage(input_tokens, output_tokens)
        one, other = await self._named(first), await self._named(second)
        nano = difference(one.price, other.price, tokens)
        return {
            "from": _estimated(one, tokens),
            "to": _estimated(other, tokens),
            "difference_usd": usd(nano),
            "message": difference_sentence(nano),
        }

    async def recommend(self, budget: str, task: str) -> dict[str, Any]:
        """The model for a task whose requests may cost `budget` US dollars each, of those that can be asked here; where
        there is none yet, of those that could be. Raises InvalidRequest.
        """
        kind = next((each for each in get_args(Task) if each == task), None)
        if kind is None:
            raise InvalidRequest(f"There is no task {task[:80]!r}; there are {', '.join(LOADS)}.", param="task")
        try:
            nano = nano_from_usd(budget)
        except ValueError as error:
            raise InvalidRequest(f"budget: {error}.", param="budget") from error
        real = [slot for slot in self._lineup.slots if slot.row.id != STUB]
        slots = real or self._every
        await self._learn([slot.row for slot in slots])
        choice = recommend([self._with_price(row) for row in self._catalogue.models(slots)], nano, kind)
        load = LOADS[kind]
        answer: dict[str, Any] = {
            "task": task,
            "budget_usd": usd(nano),
            "input_tokens": load.usage.input_tokens,
            "output_tokens": load.usage.output_tokens,
            "model": None,
            "message": "No model that can do this is known here for that budget.",
        }
        if choice is None:
            return answer
        row = choice.model
        shown = row.id if "/" in row.id else f"{row.provider}/{row.id}"
        return answer | {
            "model": shown,
            "name": row.name or row.id,
            "configured": bool(real),
            "cost_usd": usd(choice.nano),
            "message": f"{row.name or row.id} costs {dollars(choice.nano)} per run.",
        }

    async def known(self, slot: Slot, names: Iterable[str]) -> list[dict[str, Any]]:
        """What is known of models of one provider, by the names that it is sent."""
        await self._learn([slot.row])
        rows = [self._catalogue.row(slot.row.id, name) or ModelRow(id=name, provider=slot.row.id) for name in names]
        return [show_model(self._with_price(row)) | {"default": row.id == slot.default_model} for row in rows]

    def names(self, slot: Slot) -> list[str]:
        """The models of a provider that the operator or the catalogue names."""
        return [row.sends or row.id for row in self._catalogue.models([slot])]

    def default(self, slot: Slot) -> ModelRow | None:
        """What is known of the default model of a provider."""
        return self._catalogue.row(slot.row.id, slot.default_model)

    async def _named(self, model: str) -> Named:
        slots = self._lineup.slots if model in ("", AUTO) else (*self._lineup.slots, *self._every)
        slot, sends, row = self._catalogue.resolve(model, AUTO, slots)[0]
        await self._learn([slot.row])
        found = self._with_price(replace(row, sends=sends) if row else ModelRow(id=sends, provider=slot.row.id))
        if found.price is None:
            raise InvalidRequest(
                f"The price of {sends} is not known.", action="Set it under [prices] in dominion.toml.", param="model"
            )
        return Named(found, found.price)

    def _with_price(self, row: ModelRow) -> ModelRow:
        return replace(row, price=self._price(row.provider, row.sends or row.id, self._clock.now()))


def _estimated(named: Named, tokens: Usage) -> dict[str, Any]:
    nano = estimate_cost(named.price, tokens.input_tokens, tokens.output_tokens)
    return {
        "model": f"{named.row.provider}/{named.row.id}",
        "name": named.row.name or named.row.id,
        "input_usd_per_million": per_million(named.price.input),
        "output_usd_per_million": per_million(named.price.output),
        "input_tokens": tokens.input_tokens,
        "output_tokens": tokens.output_tokens,
        "cost_usd": usd(nano),
    }
