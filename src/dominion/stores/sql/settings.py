"""Small values that the gateway keeps for itself, in the database."""

from sqlalchemy import bindparam, select, text

from dominion.stores.schema.tables import settings, upsert
from dominion.stores.sql.database import Database

GET = select(settings.c.value).where(settings.c.name == bindparam("name"))
CLAIM = text("INSERT INTO settings (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING")
PUT = upsert(settings, "excluded.{column}")


class SqlSettings:
    """`SettingsStore` over a database."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database

    async def get(self, name: str) -> bytes | None:
        """The value."""
        return await self._database.read(lambda connection: connection.execute(GET, {"name": name}).scalar())

    async def put(self, name: str, value: bytes) -> None:
        """Set the value."""
        await self._database.write(lambda connection: connection.execute(PUT, {"name": name, "value": value}))

    async def claim(self, name: str, value: bytes) -> bool:
        """Set the value if there is none; whether this call did."""
        return await self._database.write(
            lambda connection: connection.execute(CLAIM, {"name": name, "value": value}).rowcount == 1
        )
