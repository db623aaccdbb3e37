"""What models cost, for programs that want to know before they ask. Needs no gateway, and asks nobody.

Prices are those that come with this package; a gateway's operator may have others, which `LLM.quote` tells.
"""

import time
from decimal import Decimal
from typing import NamedTuple

import msgspec

from dominion.client.config_file import Surroundings
from dominion.domain.errors import InvalidRequest, UnknownModel
from dominion.domain.usage import NANO_DIGITS, Price
from dominion.providers.catalog import Catalogue
from dominion.providers.pricebook import PriceBook, ensure_prices, read_prices
from dominion.rules.prices.choosing import estimate_cost as estimate_nano

_PICO_DIGITS = 12


class TokenCount(NamedTuple):
    """Tokens of a prompt and of its answer: `estimate_cost("gpt-4o", *TokenCount(input=1000, output=500))`."""

    input: int
    output: int


class ModelPricing(msgspec.Struct, frozen=True):
    """The price of one model, in US dollars per token, exactly."""

    provider: str
    model: str
    cost_per_input_token: Decimal
    cost_per_output_token: Decimal


def estimate_cost(model: str, input_tokens: int, output_tokens: int) -> Decimal:
    """US dollars, exactly, nothing of it cached: `estimate_cost("gpt-4o", 1000, 500)` is `Decimal("0.0075")`.

    Raises UnknownModel, or InvalidRequest where no price is known.
    """
    _, price = _priced(model)
    return Decimal(estimate_nano(price, input_tokens, output_tokens)).scaleb(-NANO_DIGITS)


def get_pricing(model: str) -> ModelPricing:
    """The price of a model now, by its name or "provider/model". Raises as `estimate_cost`."""
    provider, price = _priced(model)
    costs = (Decimal(pico).scaleb(-_PICO_DIGITS) for pico in (price.input, price.output))
    return ModelPricing(provider, _bare(provider, model), *costs)


def _priced(model: str) -> tuple[str, Price]:
    """The provider of a model, and its price now. Our own rows are read first: the file of all others takes a second
    to make, once."""
    catalogue, now = Catalogue.load(), time.time()
    provider = catalogue.owner(model)
    if not provider:
        raise UnknownModel(f"No provider is known that has a model {model[:100]!r}.", param="model")
    name = _bare(provider, model)
    price = PriceBook(catalogue).price(provider, name, now)
    if price is None:
        exported = read_prices(ensure_prices(Surroundings.real().config_folder))
        price = PriceBook(catalogue, exported=exported).price(provider, name, now)
    if price is None:
        raise InvalidRequest(f"The price of {model[:100]!r} is not known.", param="model")
    return provider, price


def _bare(provider: str, model: str) -> str:
    head, _, rest = model.partition("/")
    return rest if rest and head.lower() == provider else model
