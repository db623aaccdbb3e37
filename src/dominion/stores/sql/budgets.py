"""The limits of scopes other than users, in the database. The statements of the table are the constants."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, literal_column, select, text

from dominion.domain.allowances import ScopeLimits, WindowKey
from dominion.domain.records import Outcome, Totals
from dominion.rules.windows import SECONDS_A_DAY, day_of, first_day, month_of
from dominion.stores.schema.standings import scope_limits
from dominion.stores.schema.tables import upsert, usage, usage_windows
from dominion.stores.sql.database import Database
from dominion.stores.sums import COUNTS

BUDGETS = select(scope_limits)
PUT = upsert(scope_limits, "excluded.{column}")
REMOVE = delete(scope_limits).where(scope_limits.c.scope == bindparam("scope"))
COLUMNS = {"key": usage.c.key_id, "customer": usage.c.customer}
"""Of the scopes whose windows are written only while they have limits (`sums.windows_of`)."""
ROW_DAY = usage.c.at // literal_column("86400000", BigInteger)
PUT_WINDOW = upsert(usage_windows, "excluded.{column}")
ALONE = text("LOCK TABLE scope_limits IN ACCESS EXCLUSIVE MODE")
"""PostgreSQL: whoever adds rows reads this table first, and waits here; SQLite has one writer at a time anyway."""


class SqlBudgets:
    """`BudgetStore` over a database."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database

    async def budgets(self) -> dict[str, ScopeLimits]:
        """All of them, by scope."""
        return await self._database.read(
            lambda connection: {scope: limits_of(rest) for scope, *rest in connection.execute(BUDGETS)}
        )

    async def put_budget(self, scope: str, limits: ScopeLimits, at: int) -> None:
        """Set the limits of a scope; what it has used this month until now (`at`, epoch seconds) counts."""
        values = {name: getattr(limits, name) for name in ScopeLimits.__struct_fields__}
        values |= {"scope": scope, "alerts": ",".join(map(str, limits.alerts))}

        def work(connection: Connection) -> None:
            if connection.dialect.name == "postgresql":
                connection.execute(ALONE)
            connection.execute(PUT, values)
            if scope.partition(":")[0] in COLUMNS:
                for window, totals in _used(connection, scope, day_of(at)).items():
                    connection.execute(
                        PUT_WINDOW,
                        dict(zip(("scope", "kind", "number"), window, strict=True))
                        | {name: getattr(totals, name) for name in Totals.__struct_fields__},
                    )

        await self._database.write(work)

    async def remove_budget(self, scope: str) -> bool:
        """Whether there was one."""
        return await self._database.write(lambda connection: connection.execute(REMOVE, {"scope": scope}).rowcount > 0)


def limits_of(columns: Sequence[Any]) -> ScopeLimits:
    """The limits in the columns after the scope."""
    limits = dict(zip(ScopeLimits.__struct_fields__, columns, strict=True))
    return ScopeLimits(**limits | {"alerts": tuple(map(int, filter(None, limits["alerts"].split(","))))})


def _used(connection: Connection, scope: str, day: int) -> dict[WindowKey, Totals]:
    """The windows of a scope, from its rows of this month."""
    kind, _, name = scope.partition(":")
    month = month_of(day)
    windows: dict[WindowKey, Totals] = {(scope, "m", month): Totals(), (scope, "d", day): Totals()}
    statement = (
        select(
            ROW_DAY,
            usage.c.outcome,
            func.count(),
            func.sum(usage.c.input_tokens + usage.c.output_tokens),
            func.sum(usage.c.cost_nano),
        )
        .where(
            usage.c.at >= first_day(month) * SECONDS_A_DAY * 1000,
            COLUMNS[kind] == name,
            usage.c.outcome != Outcome.FAILED,
        )
        .group_by(ROW_DAY, usage.c.outcome)
    )
    for at_day, outcome, count, tokens, spend in connection.execute(statement):
        for window in (("d", int(at_day)), ("m", month_of(int(at_day)))):
            totals = windows.setdefault((scope, *window), Totals())
            totals.requests += COUNTS[outcome] * count
            totals.tokens += int(tokens)
            totals.spend_nano += int(spend)
    return windows
