"""What operators ask about budgets and holds."""

from typing import Any

from dominion.services.limits.budgets import BudgetChanges, Budgets
from dominion.services.operations.table import Asked, Operation


def of_budgets(budgets: Budgets) -> tuple[Operation, ...]:
    """The rows of the table."""

    async def every(_: Asked) -> Any:
        return await budgets.all()

    async def put(asked: Asked) -> Any:
        return await budgets.set(asked.read(BudgetChanges), asked.request_id)

    async def holds(_: Asked) -> Any:
        return budgets.holds()

    async def release(asked: Asked) -> Any:
        return await budgets.release(asked.path["id"], asked.request_id)

    all_of_them = "The limits of keys, providers, customers and runs, and what is used of them"
    one = "Set limits of a scope; null lifts one, and a budget without limits is removed"
    aside = "What is set aside for the requests that run in the process that answers"
    back = "Give back what is set aside for a request; it runs on and is charged when it ends"
    return (
        Operation("budgets", "GET", "/admin/budgets", "admin", all_of_them, every),
        Operation("set_budget", "PUT", "/admin/budgets", "admin", one, put, BudgetChanges),
        Operation("holds", "GET", "/admin/holds", "admin", aside, holds),
        Operation("release_hold", "POST", "/admin/holds/{id}/release", "admin", back, release),
    )
