"""The audit log in the database: entries are added and read; nothing here changes or deletes one."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, insert, select

from dominion.domain.registry import AuditEntry
from dominion.rules.audit_chain import BEGINNING, Anchor, chained
from dominion.stores.schema.registry import audit_log, change_counters
from dominion.stores.schema.tables import upsert
from dominion.stores.sql.database import Database

PURPOSE = "audit-log"
"""What the key is derived from the sealing key for."""
COUNTER = "audit"
NEXT = upsert(change_counters, "{table}.{column} + 1")
NUMBER = select(change_counters.c.value).where(change_counters.c.name == COUNTER)
LAST = select(audit_log.c.hash).order_by(audit_log.c.number.desc()).limit(1)
NEWEST = select(audit_log).order_by(audit_log.c.number.desc()).limit(1)
ADD = insert(audit_log)
ENTRIES = (
    select(audit_log)
    .where(audit_log.c.number > bindparam("after"))
    .order_by(audit_log.c.number)
    .limit(bindparam("limit"))
)
ENTRIES_OF = ENTRIES.where(audit_log.c.subject == bindparam("subject"))


class SqlAudit:
    """`AuditStore` over a database. `key`: 32 bytes derived from the sealing key, never in the database."""

    def __init__(self, database: Database, key: bytes) -> None:
        """Over an open database."""
        self._database = database
        self._key = key

    async def append(
        self,
        at: int,
        actor: str,
        action: str,
        subject: str,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
        request_id: str,
    ) -> AuditEntry:
        """The entry as it was written.

        Taking the next number locks the counter until the commit, so the last hash read after it is that of the entry
        before; a transaction that fails gives its number back.
        """

        def work(connection: Connection) -> AuditEntry:
            connection.execute(NEXT, {"name": COUNTER, "value": 1})
            number = connection.execute(NUMBER).scalar_one()
            head = Anchor(number - 1, connection.execute(LAST).scalar() or BEGINNING)
            entry = chained(self._key, head, at, actor, action, subject, before, after, request_id)
            values = msgspec.structs.asdict(entry)
            connection.execute(ADD, {**values, "before": _text(entry.before), "after": _text(entry.after)})
            return entry

        return await self._database.write(work)

    async def entries(self, *, after: int = 0, limit: int = 100, subject: str | None = None) -> list[AuditEntry]:
        """Entries with a number above `after`, oldest first."""
        statement = ENTRIES if subject is None else ENTRIES_OF
        values = {"after": after, "limit": limit, **({} if subject is None else {"subject": subject})}
        return await self._database.read(
            lambda connection: [_entry(row) for row in connection.execute(statement, values)]
        )

    async def newest(self) -> AuditEntry | None:
        """The last entry."""
        row = await self._database.read(lambda connection: connection.execute(NEWEST).first())
        return None if row is None else _entry(row)


def _text(value: dict[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _entry(row: Sequence[Any]) -> AuditEntry:
    number, at, actor, action, subject, before, after, request_id, digest = row
    return AuditEntry(number, at, actor, action, subject, _value(before), _value(after), request_id, digest)


def _value(text: str | None) -> dict[str, Any] | None:
    value: dict[str, Any] | None = msgspec.json.decode(text or "null")
    return value
