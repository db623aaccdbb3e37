"""Alerts and their outbox in the database. The statements of the tables are the constants."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, literal, select, text, update

from dominion.domain.alerts import Delivery, Level, Notice
from dominion.domain.allowances import ScopeLimits
from dominion.domain.records import Totals
from dominion.rules.windows import month_of
from dominion.stores.schema.money import alert_deliveries, alerts
from dominion.stores.schema.standings import scope_limits
from dominion.stores.schema.tables import usage_windows, users
from dominion.stores.sql.budgets import limits_of
from dominion.stores.sql.database import Database

MOST_SCOPES = 500
"""Above so many, all are read: that is cheaper, and below the number of parameters that any build of SQLite takes."""

_OF = (usage_windows.c.scope, usage_windows.c.requests, usage_windows.c.tokens, usage_windows.c.spend_nano)
_WINDOW = (usage_windows.c.kind == bindparam("kind"), usage_windows.c.number == bindparam("number"))
BUDGETS = select(*_OF, *scope_limits.c).where(
    usage_windows.c.scope == scope_limits.c.scope, *_WINDOW, usage_windows.c.requests > 0
)
BUDGETS_OF = BUDGETS.where(scope_limits.c.scope.in_(bindparam("scopes", expanding=True)))
USERS = select(*_OF, users.c.monthly_spend_nano).where(
    usage_windows.c.scope == literal("user:") + users.c.id,
    *_WINDOW,
    usage_windows.c.spend_nano // bindparam("percent") >= users.c.monthly_spend_nano // 100,  # a little more than asked
)
USERS_OF = USERS.where(users.c.id.in_(bindparam("scopes", expanding=True)))

ADD = text(
    "INSERT INTO alerts (id, kind, at, text, data) VALUES (:id, :kind, :at, :text, :data) ON CONFLICT (id) DO NOTHING"
)
ADD_DELIVERIES = insert(alert_deliveries)
_due = alert_deliveries.c.next_at
NEXT_DUE = select(func.min(_due)).where(alert_deliveries.c.channel == bindparam("channel"), _due.is_not(None))
DUE = (
    select(alerts, alert_deliveries.c.tries, _due)
    .join_from(alert_deliveries, alerts, alerts.c.id == alert_deliveries.c.alert_id)
    .where(alert_deliveries.c.channel == bindparam("channel"), _due <= bindparam("now"))
    .order_by(_due, alerts.c.at, alerts.c.id)
    .limit(bindparam("most"))
)
_ONE = (alert_deliveries.c.alert_id == bindparam("of_alert"), alert_deliveries.c.channel == bindparam("of_channel"))
TAKE = (
    update(alert_deliveries)
    .where(*_ONE, _due == bindparam("seen"))
    .values(next_at=bindparam("until"), tries=alert_deliveries.c.tries + 1)
)
SETTLE = update(alert_deliveries).where(*_ONE)
RECENT = select(alerts).order_by(alerts.c.at.desc(), alerts.c.id).limit(bindparam("limit"))
DELIVERIES = (
    select(alert_deliveries)
    .where(alert_deliveries.c.alert_id.in_(bindparam("ids", expanding=True)))
    .order_by(alert_deliveries.c.alert_id, alert_deliveries.c.channel)
)
OLD = select(alerts.c.id).where(alerts.c.at < bindparam("before"))
PURGE = (
    delete(alert_deliveries).where(alert_deliveries.c.alert_id.in_(OLD)),
    delete(alerts).where(alerts.c.id.in_(OLD)),
)


class SqlAlerts:
    """`AlertStore` over a database."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database

    async def levels(self, scopes: Collection[str] | None, day: int, percent: int) -> list[Level]:
        """Of `scopes` (None: of all) those that have limits; see `AlertStore`."""
        asked = None if scopes is None or len(scopes) > MOST_SCOPES else scopes
        return await self._database.read(lambda connection: list(_levels(connection, asked, day, percent)))

    async def add(self, notices: Sequence[Notice], channels: Sequence[str]) -> list[Notice]:
        """Add notices, due on these channels at once. Those that were new."""

        def work(connection: Connection) -> list[Notice]:
            ordered = sorted(notices, key=lambda one: one.id)  # so that two processes never wait in a circle
            new = [one for one in ordered if connection.execute(ADD, _values(one)).rowcount]
            due = [(one.id, msgspec.structs.asdict(Delivery(name, 0, one.at))) for one in new for name in channels]
            if due:
                connection.execute(ADD_DELIVERIES, [{"alert_id": name, **values} for name, values in due])
            return new

        return await self._database.write(work)

    async def next_due(self, channel: str) -> int | None:
        """When the next delivery of a channel is due."""
        return await self._database.read(lambda connection: connection.execute(NEXT_DUE, {"channel": channel}).scalar())

    async def take(self, channel: str, now: int, until: int, most: int) -> list[tuple[Notice, int]]:
        """Those that are due, with their number of tries: of several processes that ask, one changes each row."""

        def work(connection: Connection) -> list[tuple[Notice, int]]:
            due = connection.execute(DUE, {"channel": channel, "now": now, "most": most}).all()
            return [
                (_notice(row), tries + 1)
                for *row, tries, seen in due
                if connection.execute(
                    TAKE, {"of_alert": row[0], "of_channel": channel, "seen": seen, "until": until}
                ).rowcount
            ]

        return await self._database.write(work)

    async def settle(self, channel: str, notice_ids: Sequence[str], outcome: Delivery) -> None:
        """What a try came to."""
        told = {name: getattr(outcome, name) for name in ("next_at", "delivered_at", "error")}
        each = [{"of_alert": name, "of_channel": channel, **told} for name in notice_ids]
        await self._database.write(lambda connection: connection.execute(SETTLE, each))

    async def recent(self, limit: int) -> list[tuple[Notice, list[Delivery]]]:
        """The newest first, with their deliveries by channel."""

        def work(connection: Connection) -> list[tuple[Notice, list[Delivery]]]:
            notices = [_notice(row) for row in connection.execute(RECENT, {"limit": limit})]
            found: dict[str, list[Delivery]] = {one.id: [] for one in notices}
            for alert_id, *rest in connection.execute(DELIVERIES, {"ids": list(found)}):
                found[alert_id].append(Delivery(*rest))
            return [(one, found[one.id]) for one in notices]

        return await self._database.read(work)

    async def purge(self, before: int) -> None:
        """Forget notices that are older."""
        await self._database.write(
            lambda connection: [connection.execute(statement, {"before": before}) for statement in PURGE]
        )


def _levels(connection: Connection, scopes: Collection[str] | None, day: int, percent: int) -> Iterator[Level]:
    month = month_of(day)
    for kind, number in (("d", day), ("m", month), ("r", 0)):
        for scope, *rest in _asked(connection, (BUDGETS, BUDGETS_OF), scopes, {"kind": kind, "number": number}):
            yield Level(scope, kind, number, Totals(*rest[:3]), limits_of(rest[4:]))
    if percent:
        ids = None if scopes is None else [one.removeprefix("user:") for one in scopes if one.startswith("user:")]
        asked = {"kind": "m", "number": month, "percent": percent}
        for scope, *sums, spend in _asked(connection, (USERS, USERS_OF), ids, asked):
            yield Level(scope, "m", month, Totals(*sums), ScopeLimits(monthly_spend_nano=spend))


def _asked(
    connection: Connection,
    statements: tuple[Select[Any], Select[Any]],
    scopes: Collection[str] | None,
    values: dict[str, Any],
) -> Iterable[Sequence[Any]]:
    every, some = statements
    if scopes is None:
        return connection.execute(every, values)
    return connection.execute(some, {**values, "scopes": list(scopes)})


def _values(notice: Notice) -> dict[str, Any]:
    return {**msgspec.structs.asdict(notice), "data": msgspec.json.encode(notice.data).decode()}


def _notice(row: Sequence[Any]) -> Notice:
    name, kind, at, words, data = row
    return Notice(name, kind, at, words, msgspec.json.decode(data))
