"""Database and sealing keys for commands that work beside a running gateway, or without one; starts nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from dominion.app.world import keys_place
from dominion.config import Settings
from dominion.credentials.keys import derive
from dominion.domain.errors import ConfigProblem
from dominion.stores.sealing.keys import KeyPlace, KeyRing, read_ring
from dominion.stores.sql.audit import PURPOSE, SqlAudit
from dominion.stores.sql.database import Database


class Beside(NamedTuple):
    """What is open. `ring` is what `place` held when it was opened."""

    database: Database
    place: KeyPlace
    ring: KeyRing

    @property
    def audit_key(self) -> bytes:
        """What the audit log is chained with."""
        return derive(self.ring.root, PURPOSE)

    @property
    def audit(self) -> SqlAudit:
        """The audit log."""
        return SqlAudit(self.database, self.audit_key)


@asynccontextmanager
async def beside(settings: Settings) -> AsyncIterator[Beside]:
    """Open what the settings name; mints no key. Raises ConfigProblem or StorageUnavailable."""
    place = keys_place(settings)
    text = place.read()
    if text is None:
        raise ConfigProblem(
            f"There is no sealing key in {place.name}.",
            action="Name the place that the gateway uses: DOMINION_DATA_DIR, DOMINION_SEALING_KEY_SOURCE.",
        )
    ring = read_ring(text, place)
    url = settings.database_url
    database = Database.open(url.reveal() if url else settings.sqlite_path)
    try:
        yield Beside(database, place, ring)
    finally:
        await database.close()
