"""Wires the figures that operators ask for."""

from dominion.app.world import World
from dominion.domain.contracts import Clock
from dominion.services.figures.analytics import Analytics
from dominion.services.operations.analytics import of_analytics
from dominion.services.operations.table import Operation
from dominion.stores.sql.analytics import SqlAnalytics


def analytics(world: World, clock: Clock) -> tuple[Operation, ...]:
    """What can be asked of them."""
    store = SqlAnalytics(world.database)
    return of_analytics(Analytics(store, world.ledger, world.people, world.lineup, world.posting, clock))
