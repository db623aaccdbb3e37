"""Registered providers and sealed credentials in the database. The statements of both tables are the constants below.

Never sees a plain credential. Every change takes the next version number in its own transaction, and the other
processes are told of it ("registry", "credential").
"""

from typing import Any

import msgspec
from msgspec.structs import asdict
from sqlalchemy import Connection, RowMapping, bindparam, delete, select, update

from dominion.domain.registry import Registration, SealedCredential, owner_of_provider
from dominion.stores.schema.registry import change_counters, provider_credentials, providers
from dominion.stores.schema.tables import upsert
from dominion.stores.sql.changes import tell
from dominion.stores.sql.database import Database

COUNTER = "registry"
VERSION = select(change_counters.c.value).where(change_counters.c.name == COUNTER)
NEXT = upsert(change_counters, "{table}.{column} + 1")

PUT = upsert(providers, "excluded.{column}")
ALL = select(providers).order_by(providers.c.position, providers.c.id)
REMOVE = delete(providers).where(providers.c.id == bindparam("id"))

PUT_CREDENTIAL = upsert(provider_credentials, "excluded.{column}")
CREDENTIALS = select(provider_credentials).order_by(provider_credentials.c.owner, provider_credentials.c.name)
CREDENTIALS_OF = CREDENTIALS.where(provider_credentials.c.owner == bindparam("owner"))
REMOVE_CREDENTIALS = delete(provider_credentials).where(provider_credentials.c.owner == bindparam("owner"))
REMOVE_CREDENTIAL = REMOVE_CREDENTIALS.where(provider_credentials.c.name == bindparam("name"))
SWAP_CREDENTIAL = (
    update(provider_credentials)
    .where(*(column == bindparam(column.name) for column in provider_credentials.c))
    .values({column: bindparam(f"new_{column.name}") for column in provider_credentials.c})
)

FIELDS = {"display_name": "name", "endpoint": "base_url", "last_validated_at": "validated_at"}
"""Columns whose fields have another name; the specification names the columns."""


class SqlRegistry:
    """`RegistryStore` over a database."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database

    async def version(self) -> int:
        """A number that grows with every change here."""
        return await self._database.read(lambda connection: connection.execute(VERSION).scalar() or 0)

    async def registrations(self) -> list[Registration]:
        """All of them, in the order of `position`, then id."""
        return await self._database.read(
            lambda connection: [_registration(row) for row in connection.execute(ALL).mappings()]
        )

    async def put(self, registration: Registration) -> None:
        """Add it, or replace the one with its id."""
        values: dict[str, Any] = asdict(registration)
        for column, field in FIELDS.items():
            values[column] = values.pop(field)
        values["models"] = msgspec.json.encode(registration.models).decode()

        def work(connection: Connection) -> None:
            connection.execute(PUT, values)
            self._tell(connection, "registry", registration.id)

        await self._database.write(work)

    async def remove(self, provider_id: str) -> bool:
        """Remove it with its credentials. Whether it was there."""

        def work(connection: Connection) -> bool:
            if not connection.execute(REMOVE, {"id": provider_id}).rowcount:
                return False
            connection.execute(REMOVE_CREDENTIALS, {"owner": owner_of_provider(provider_id)})
            self._tell(connection, "registry", provider_id)
            return True

        return await self._database.write(work)

    async def credentials(self, owner: str | None = None) -> list[SealedCredential]:
        """Those of an owner, or all, in the order of owner and name."""

        def work(connection: Connection) -> list[SealedCredential]:
            found = connection.execute(CREDENTIALS if owner is None else CREDENTIALS_OF, {"owner": owner})
            return [SealedCredential(*row) for row in found]

        return await self._database.read(work)

    async def put_credential(self, credential: SealedCredential) -> None:
        """Add it, or replace the one with its owner and name."""

        def work(connection: Connection) -> None:
            connection.execute(PUT_CREDENTIAL, asdict(credential))
            self._tell(connection, "credential", credential.owner)

        await self._database.write(work)

    async def swap_credential(self, before: SealedCredential, after: SealedCredential) -> bool:
        """Replace `before` if it is still there as it is. Whether it was."""
        values = {f"new_{column}": value for column, value in asdict(after).items()}

        def work(connection: Connection) -> bool:
            there = bool(connection.execute(SWAP_CREDENTIAL, asdict(before) | values).rowcount)
            if there:
                self._tell(connection, "credential", after.owner)
            return there

        return await self._database.write(work)

    async def remove_credential(self, owner: str, name: str) -> bool:
        """Whether it was there."""

        def work(connection: Connection) -> bool:
            there = bool(connection.execute(REMOVE_CREDENTIAL, {"owner": owner, "name": name}).rowcount)
            if there:
                self._tell(connection, "credential", owner)
            return there

        return await self._database.write(work)

    def _tell(self, connection: Connection, topic: str, subject: str) -> None:
        connection.execute(NEXT, {"name": COUNTER, "value": 1})
        tell(connection, self._database.teller, topic, subject)


def _registration(row: RowMapping) -> Registration:
    values = {FIELDS.get(column, column): value for column, value in row.items()}
    return Registration(**{**values, "models": msgspec.json.decode(row["models"], type=tuple[str, ...])})
