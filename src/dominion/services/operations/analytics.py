"""What operators ask about use and its cost over all users."""

from typing import Any

from dominion.services.figures.analytics import Analytics
from dominion.services.operations.table import Asked, Operation

_A_YEAR = 366 * 24


def of_analytics(analytics: Analytics) -> tuple[Operation, ...]:
    """The rows of the table."""

    async def by(asked: Asked) -> Any:
        return await analytics.by(asked.query.get("group", ""), asked.query, asked.number("limit", 100, 1_000))

    async def projection(asked: Asked) -> Any:
        return await analytics.projection(asked.query.get("user_id"), asked.query.get("provider"))

    async def latency(asked: Asked) -> Any:
        return await analytics.latency(asked.number("hours", 24, _A_YEAR))

    sums = "Usage by group=provider, model, day, customer or user; query: month (YYYY-MM), or from and to; limit"
    leads = "What this month will cost; query: user_id or provider, else of the whole gateway"
    fast = "Latency percentiles, speed and error rates of models, from the newest 2,000 requests; query: hours (24)"
    return (
        Operation("usage_by", "GET", "/admin/usage/by", "admin", sums, by),
        Operation("usage_projection", "GET", "/admin/usage/projection", "admin", leads, projection),
        Operation("usage_latency", "GET", "/admin/usage/latency", "admin", fast, latency),
    )
