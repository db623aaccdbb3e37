"""Builds what limits of scopes need, and the leases of processes that share a database."""

import asyncio

from dominion.app.world import World
from dominion.domain.contracts import Clock
from dominion.services.limits.admission import Admission
from dominion.services.limits.allowances import Allowances
from dominion.services.limits.budgets import Budgets
from dominion.services.limits.rates import SharedRates
from dominion.services.limits.scopes import Scopes
from dominion.stores.sql.budgets import SqlBudgets


def allowances(world: World, clock: Clock, rate_window: float, grace: float) -> Allowances | None:
    """The leases of this process; None when it has its database to itself."""
    if world.leases is None:
        return None
    return Allowances(
        world.leases,
        world.ledger.process_id,
        world.posting,
        clock,
        asyncio.sleep,
        rates=None if world.rates is None else SharedRates(world.rates, clock, rate_window),
        grace=grace,
    )


def budgets_over(
    world: World, scopes: Scopes, admission: Admission, clock: Clock, thresholds: tuple[int, ...]
) -> Budgets:
    """The operator's view of them; `thresholds` are the alerts of those that name none."""
    return Budgets(
        SqlBudgets(world.database),
        scopes,
        admission,
        world.ledger,
        world.posting,
        world.people,
        world.lineup,
        world.audit,
        world.changes,
        clock,
        thresholds,
    )
