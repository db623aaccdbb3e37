"""Which model to take for a task and a budget, and what another one would cost more. Pure; never asks anybody."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Literal, NamedTuple

from dominion.domain.providers import ModelRow
from dominion.domain.usage import NANO_DIGITS, NANO_PER_USD, Price, Usage
from dominion.rules.prices.pricing import charge

LEAST_DECIMALS = 2
Task = Literal["chat", "summary", "extraction", "code", "reasoning", "vision"]


class Load(NamedTuple):
    """What one request of a task usually takes. `needs` are abilities as in `ModelRow.abilities`.

    `demanding`: the strongest model within the budget is worth its price; else the cheapest does.
    """

    usage: Usage
    needs: frozenset[str] = frozenset()
    demanding: bool = False


LOADS: Mapping[Task, Load] = MappingProxyType(
    {
        "chat": Load(Usage(1_000, 500)),
        "summary": Load(Usage(8_000, 500)),
        "extraction": Load(Usage(4_000, 500), frozenset({"structured_output"})),
        "code": Load(Usage(6_000, 2_000), frozenset({"tools"}), demanding=True),
        "reasoning": Load(Usage(2_000, 8_000), frozenset({"reasoning"}), demanding=True),
        "vision": Load(Usage(2_000, 500), frozenset({"vision"})),
    }
)
"""The sizes are ours: round numbers of what such requests hold."""


class Choice(NamedTuple):
    """A model, and what one request of the task costs with it in nano-dollars."""

    model: ModelRow
    nano: int


def recommend(models: Iterable[ModelRow], budget_nano: int, task: Task) -> Choice | None:
    """The model for a task whose requests may cost `budget_nano` nano-dollars each; None: none can do it for that.

    Each row's `price` is the one that holds now. A model that is deprecated, unpriced, too small or without an ability
    that the task needs is left out. Strength is judged by price, the one measure that all models share.
    """
    load = LOADS[task]
    fitting = [
        Choice(model, charge(load.usage, model.price))
        for model in models
        if model.price is not None and not model.deprecated and _can(model, load)
    ]
    order = -1 if load.demanding else 1
    affordable = [choice for choice in fitting if choice.nano <= budget_nano]
    return min(affordable, key=lambda each: (order * each.nano, each.model.provider, each.model.id), default=None)


def difference(price_a: Price, price_b: Price, tokens: Usage) -> int:
    """How much more `tokens` cost at `price_b` than at `price_a`, in nano-dollars; negative: that much less."""
    return charge(tokens, price_b) - charge(tokens, price_a)


def estimate_cost(price: Price, input_tokens: int, output_tokens: int) -> int:
    """The cost of these tokens in nano-dollars, nothing of it cached."""
    return charge(Usage(input_tokens, output_tokens), price)


def difference_sentence(nano: int) -> str:
    """A difference in nano-dollars as people read it: "This will cost ~$0.05 more per run"."""
    if not nano:
        return "This will cost the same per run"
    return f"This will cost ~{dollars(abs(nano))} {'more' if nano > 0 else 'less'} per run"


def dollars(nano: int) -> str:
    """An amount as people read it: whole cents from one cent on, two digits below."""
    amount = Decimal(nano).scaleb(-NANO_DIGITS)
    decimals = 1 - amount.adjusted() if 0 < nano < NANO_PER_USD // 100 else LEAST_DECIMALS
    return f"${amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):f}"


def _can(model: ModelRow, load: Load) -> bool:
    """A size of 0 is not known, and no reason against a model; an ability that is not known is."""
    usage = load.usage
    fits = not model.context_window or usage.total_tokens <= model.context_window
    long_enough = not model.max_output or usage.output_tokens <= model.max_output
    return fits and long_enough and load.needs <= model.abilities
