"""Figures over all users in the database. The statements are the constants; but for NEWEST they read roll-ups."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, cast, func, select

from dominion.domain.analytics import Counted, Grouping, Timed
from dominion.domain.records import Outcome, Totals
from dominion.rules.windows import iso_day
from dominion.stores.postgres.link import REPORT_SECONDS
from dominion.stores.schema.analytics import COUNTS, usage_customers, usage_days
from dominion.stores.schema.tables import usage, usage_windows
from dominion.stores.sql.database import Database

_NAMES = {
    "provider": usage_days.c.provider,
    "model": usage_days.c.provider + "/" + usage_days.c.model,
    "day": usage_days.c.day,
}
_SUMS = [cast(func.sum(usage_days.c[name]), BigInteger).label(name) for name in COUNTS]
_DEAREST = _SUMS[COUNTS.index("cost_nano")].desc()


def _days(group: str) -> Select[Any]:
    name = _NAMES[group].label("name")
    return (
        select(name, *_SUMS)
        .where(usage_days.c.day >= bindparam("first"), usage_days.c.day <= bindparam("last"))
        .group_by("name")  # by its label: PostgreSQL takes two equal parameters for two values
        .order_by(*([name] if group == "day" else [_DEAREST, name]))
    )


DAYS: Mapping[str, Select[Any]] = MappingProxyType({group: _days(group) for group in _NAMES})
CUSTOMERS = (
    select(usage_customers.c.customer, *(usage_customers.c[name] for name in COUNTS))
    .where(usage_customers.c.month == bindparam("month"))
    .order_by(usage_customers.c.cost_nano.desc(), usage_customers.c.customer)
    .limit(bindparam("limit"))
)
USERS = (
    select(usage_windows.c.scope, usage_windows.c.requests, usage_windows.c.tokens, usage_windows.c.spend_nano)
    .where(
        usage_windows.c.kind == "m",
        usage_windows.c.number == bindparam("month"),
        usage_windows.c.scope >= "user:",
        usage_windows.c.scope < "user;",  # the character after the colon
    )
    .order_by(usage_windows.c.spend_nano.desc(), usage_windows.c.scope)
    .limit(bindparam("limit"))
)
NEWEST = (
    select(*(usage.c[name] for name in Timed.__struct_fields__))
    .where(usage.c.at >= bindparam("since"), usage.c.outcome < Outcome.CORRECTION)
    .order_by(usage.c.at.desc(), usage.c.id.desc())
    .limit(bindparam("limit"))
)


class SqlAnalytics:
    """`AnalyticsStore` over a database."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database

    async def days(self, group: Grouping, first_day: int, last_day: int) -> list[Counted]:
        """Sums over days, both included: of days in their order, of others the most expensive first."""
        values = {"first": first_day, "last": last_day}
        return await self._database.read(
            lambda connection: [
                Counted(iso_day(name) if group == "day" else name, *counts)
                for name, *counts in connection.execute(DAYS[group], values)
            ],
            seconds=REPORT_SECONDS,
        )

    async def customers(self, month: int, limit: int) -> list[Counted]:
        """Sums over a month, the most expensive first; "" is the name of whoever was not named."""
        values = {"month": month, "limit": limit}
        return await self._database.read(
            lambda connection: [Counted(*row) for row in connection.execute(CUSTOMERS, values)]
        )

    async def users(self, month: int, limit: int) -> list[tuple[str, Totals]]:
        """User ids with their sums over a month, the most expensive first."""
        values = {"month": month, "limit": limit}
        return await self._database.read(
            lambda connection: [
                (scope.removeprefix("user:"), Totals(*sums)) for scope, *sums in connection.execute(USERS, values)
            ]
        )

    async def newest(self, since: int, limit: int) -> list[Timed]:
        """Requests that came at `since` or later, newest first."""
        values = {"since": since, "limit": limit}
        return await self._database.read(lambda connection: [Timed(*row) for row in connection.execute(NEWEST, values)])
