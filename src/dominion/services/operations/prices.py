"""What operators ask about prices."""

from typing import Any

from dominion.services.operations.table import Asked, Operation
from dominion.services.prices.pricing import NewPrice, Pricing
from dominion.services.prices.repricing import Reprice, Repricing


def of_prices(pricing: Pricing, repricing: Repricing) -> tuple[Operation, ...]:
    """The rows of the table."""

    async def prices(_: Asked) -> Any:
        return await pricing.prices()

    async def history(asked: Asked) -> Any:
        return await pricing.history(asked.query.get("provider", ""), asked.query.get("model", ""))

    async def add(asked: Asked) -> Any:
        return await pricing.add(asked.read(NewPrice), asked.request_id)

    async def reprice(asked: Asked) -> Any:
        return await repricing.run(asked.read(Reprice), asked.request_id)

    every = "The price of every model that can be asked, and where it comes from"
    one = "All prices of one model in the order in which they begin; query: provider, model"
    new = "Set the price of a model from a time on; it holds within a second, and no price is ever changed"
    again = "Apply the prices of now to what was charged from one day to another, by rows that correct"
    return (
        Operation("prices", "GET", "/admin/prices", "admin", every, prices),
        Operation("price_history", "GET", "/admin/prices/history", "admin", one, history),
        Operation("set_price", "POST", "/admin/prices", "admin", new, add, NewPrice, creates=True),
        Operation("reprice", "POST", "/admin/prices/reprice", "admin", again, reprice, Reprice),
    )
