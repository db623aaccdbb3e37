"""What services need of databases, journals and caches, as Protocols. Each says what may be raised.

Times are epoch seconds unless named otherwise; money is integer nano-dollars.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from dominion.domain.people import ApiKey, Limits, User, UserStatus
from dominion.domain.records import JournalRecord, Totals, UsageRow, UsageSummary
from dominion.domain.registry import AuditEntry, Registration, SealedCredential


class PeopleStore(Protocol):
    """Users and keys. Raises StorageUnavailable when the database is."""

    async def add_user(self, user: User) -> None:
        """Raises Conflict when the id exists."""

    async def user(self, user_id: str) -> User | None:
        """One user."""

    async def users(self, *, after: str = "", limit: int = 100) -> list[User]:
        """Users in the order of their ids, from the one after `after`."""

    async def set_status(self, user_id: str, status: UserStatus) -> User | None:
        """The changed user, or None."""

    async def set_limits(self, user_id: str, limits: Limits) -> User | None:
        """The changed user, or None."""

    async def add_key(self, key: ApiKey) -> None:
        """Raises NotFound when the user does not exist."""

    async def key(self, key_id: str) -> tuple[ApiKey, User] | None:
        """A key, revoked or not, with its user."""

    async def keys(self, user_id: str) -> list[ApiKey]:
        """All keys of a user, newest first."""

    async def revoke_key(self, key_id: str, at: int) -> ApiKey | None:
        """The key, revoked now or before; None when there is none."""


class LedgerStore(Protocol):
    """Ledger rows, their sums per window, and roll-ups. Raises StorageUnavailable when the database is."""

    async def add(self, rows: Sequence[UsageRow]) -> int:
        """Add rows and their sums in one transaction; rows whose id exists are left alone. How many were new."""

    async def totals(self, user_id: str, day: int, month: int) -> tuple[Totals, Totals]:
        """Sums of one UTC day (days since the epoch) and one month (year * 12 + month - 1)."""

    async def summary(self, *, user_id: str | None, first_day: int, last_day: int) -> list[UsageSummary]:
        """Sums by day, user, provider and model, from roll-ups, never from rows."""

    async def rows(self, *, user_id: str | None, limit: int) -> list[UsageRow]:
        """The newest rows first."""


class SettingsStore(Protocol):
    """Small values that the gateway keeps for itself."""

    async def get(self, name: str) -> bytes | None:
        """The value."""

    async def put(self, name: str, value: bytes) -> None:
        """Set the value."""


class RegistryStore(Protocol):
    """Registered providers and sealed credentials. Raises StorageUnavailable when the database is."""

    async def version(self) -> int:
        """A number that grows with every change here: other processes read it to know when to read the rest."""

    async def registrations(self) -> list[Registration]:
        """All of them, in the order of `position`, then id."""

    async def put(self, registration: Registration) -> None:
        """Add it, or replace the one with its id."""

    async def remove(self, provider_id: str) -> bool:
        """Remove it with its credentials. Whether it was there."""

    async def credentials(self, owner: str | None = None) -> list[SealedCredential]:
        """Those of an owner, or all."""

    async def put_credential(self, credential: SealedCredential) -> None:
        """Add it, or replace the one with its owner and name."""

    async def remove_credential(self, owner: str, name: str) -> bool:
        """Whether it was there."""


class AuditStore(Protocol):
    """The append-only audit log. Raises StorageUnavailable when the database is."""

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
        """The entry as it was written, chained to the one before in the same transaction."""

    async def entries(self, *, after: int = 0, limit: int = 100, subject: str | None = None) -> list[AuditEntry]:
        """Entries with a number above `after`, oldest first."""


class Journal(Protocol):
    """The append-only file between an answer and the database. Every call here is synchronous."""

    def append(self, record: JournalRecord) -> None:
        """One `write`. Raises StorageUnavailable; then nothing of the record counts."""

    def rotate(self) -> int:
        """Close the segment, begin the next, and return the number of the closed one (any number of segments may
        be open to deletion)."""

    def discard(self, up_to: int) -> None:
        """Delete segments up to this number; their rows are in the database."""

    def replay(self) -> list[JournalRecord]:
        """Records of segments that an earlier process left, in order, without a torn last one."""

    def sync(self) -> None:
        """Make what was appended survive a power cut (fsync)."""

    def close(self) -> None:
        """Sync and close."""
