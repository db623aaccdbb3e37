"""What services need of databases, journals and caches, as Protocols. Each says what may be raised.

Times are epoch seconds unless named otherwise; money is integer nano-dollars.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

from dominion.domain.alerts import Delivery, Level, Notice
from dominion.domain.allowances import Peer, Report, ScopeLimits, Taken, Want, WindowKey
from dominion.domain.analytics import Counted, Grouping, Timed
from dominion.domain.people import ApiKey, Limits, User, UserStatus
from dominion.domain.prices import PriceRow
from dominion.domain.records import AttemptRecord, JournalRecord, SummaryKey, Totals, UsageRow, UsageSummary
from dominion.domain.registry import AuditEntry, Registration, SealedCredential

EVERYTHING = "*"
"""The subject of a change when nobody knows which."""


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

    async def expire_key(self, key_id: str, at: int) -> ApiKey | None:
        """The key, which expires at `at` (epoch seconds) or as before, if that is earlier; None when there is none."""


class LedgerStore(Protocol):
    """Ledger rows, their sums per window, and roll-ups. Raises StorageUnavailable when the database is."""

    async def add(self, rows: Sequence[UsageRow]) -> int:
        """Add rows and their sums in one transaction; rows whose id exists are left alone. How many were new."""

    async def totals(self, user_id: str, day: int, month: int) -> tuple[Totals, Totals]:
        """Sums of one UTC day (days since the epoch) and one month (year * 12 + month - 1)."""

    async def windows(self, keys: Sequence[WindowKey]) -> list[Totals]:
        """Sums of any windows, of any scopes."""

    async def summary(self, *, user_id: str | None, first_day: int, last_day: int) -> list[UsageSummary]:
        """Sums by day, user, provider and model, from roll-ups, never from rows."""

    async def summary_page(self, first_day: int, last_day: int, after: SummaryKey, limit: int) -> list[UsageSummary]:
        """The same of all users, as far as they come after a key: so many of them."""

    async def overall(self, first_day: int, last_day: int) -> Counted:
        """Sums of all users over days, both included."""

    async def rows(self, *, user_id: str | None, limit: int) -> list[UsageRow]:
        """The newest rows first."""

    async def rows_between(self, first: int, end: int, *, limit: int) -> list[UsageRow]:
        """Rows of a period in the order of time, then id; `first` and `end` (excluded) are epoch milliseconds."""


class AnalyticsStore(Protocol):
    """Figures over all users, from small roll-ups. Raises StorageUnavailable when the database is."""

    async def days(self, group: Grouping, first_day: int, last_day: int) -> list[Counted]:
        """Sums over days, both included: of days in their order, of others the most expensive first."""

    async def customers(self, month: int, limit: int) -> list[Counted]:
        """Sums over a month, the most expensive first; "" is the name of whoever was not named."""

    async def users(self, month: int, limit: int) -> list[tuple[str, Totals]]:
        """User ids with their sums over a month, the most expensive first."""

    async def newest(self, since: int, limit: int) -> list[Timed]:
        """Requests that came at `since` (epoch milliseconds) or later, newest first, without those that only correct
        others."""


class AttemptStore(Protocol):
    """Attempts at providers that failed, and what became of their requests. Raises StorageUnavailable when the database
    is."""

    async def add(self, attempts: Sequence[AttemptRecord]) -> None:
        """Add them; those whose request and number exist are left alone."""

    async def of_request(self, request_id: str) -> list[AttemptRecord]:
        """Those of a request, in their order."""

    async def since(self, at: int, limit: int) -> list[AttemptRecord]:
        """Those that ended at `at` (epoch milliseconds) or later, newest first."""

    async def rows(self, request_ids: Sequence[str]) -> list[UsageRow]:
        """The ledger's rows of these requests, in any order."""


class BudgetStore(Protocol):
    """The limits of scopes other than users. Raises StorageUnavailable when the database is."""

    async def budgets(self) -> dict[str, ScopeLimits]:
        """All of them, by scope."""

    async def put_budget(self, scope: str, limits: ScopeLimits, at: int) -> None:
        """Set the limits of a scope; what it has used this month until now (`at`, epoch seconds) counts."""

    async def remove_budget(self, scope: str) -> bool:
        """Whether there was one."""


class AllowanceStore(Protocol):
    """What several processes lease of limits that they share. Raises StorageUnavailable when the database is.

    For each window, at each commit: what is settled and what is still out never exceed the limit.
    """

    async def join(self, process_id: str) -> int:
        """Begin a life: leases of an earlier one are given back, and what was charged for it when it seemed lost is
        taken back; so its journal must have been posted before. The number of the life."""

    async def leave(self, process_id: str) -> None:
        """Give everything back and be forgotten: all that was used is posted."""

    async def take(self, process_id: str, wants: Sequence[Want], peers: Sequence[str]) -> list[Taken]:
        """Lease what is wanted, as far as it is there; `peers` are the other processes that live. An answer for each
        want. When it is not enough, those peers are asked to return what they do not use."""

    async def recalled(self, process_id: str) -> list[WindowKey]:
        """Windows of which another process wants what this one does not use."""

    async def report(self, process_id: str, life: int, reports: Sequence[Report]) -> list[Peer] | None:
        """Say what is used and kept; answers what was recalled. All processes; None: this life was declared lost."""

    async def forget(self, process_id: str, windows: Sequence[WindowKey]) -> None:
        """Give all of these back, used or not: they have no limits any more."""

    async def purge(self, day: int, month: int) -> None:
        """Forget leases of windows that ended long before these: their holds have ended, too."""

    async def lose(self, peer: Peer, at: int) -> bool:
        """Declare a process lost with its disk, unless it has been heard since: what it said to have used is charged
        as one flagged row per user, reserved in other scopes, and the rest is free. `at` epoch milliseconds."""


class SettingsStore(Protocol):
    """Small values that the gateway keeps for itself."""

    async def get(self, name: str) -> bytes | None:
        """The value."""

    async def put(self, name: str, value: bytes) -> None:
        """Set the value."""

    async def claim(self, name: str, value: bytes) -> bool:
        """Set the value if there is none. Of several that try at once, one is told True."""


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

    async def swap_credential(self, before: SealedCredential, after: SealedCredential) -> bool:
        """Replace `before` by `after`, which has its owner and name, if it is still there as it is. Whether it was."""

    async def remove_credential(self, owner: str, name: str) -> bool:
        """Whether it was there."""


class PriceStore(Protocol):
    """The operator's prices: rows are added, never changed. Raises StorageUnavailable when the database is."""

    async def version(self) -> int:
        """The number of the newest row, 0: there is none. Other processes read it to know when to read the rest."""

    async def rows(self) -> list[PriceRow]:
        """All of them, by number."""

    async def add(self, row: PriceRow) -> PriceRow:
        """The row with its number, the next one."""


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

    async def newest(self) -> AuditEntry | None:
        """The last entry; None: there is none yet."""


class AlertStore(Protocol):
    """Notices and their outbox, which all processes share. Times are epoch milliseconds. Raises StorageUnavailable when
    the database is."""

    async def levels(self, scopes: Collection[str] | None, day: int, percent: int) -> list[Level]:
        """Of `scopes` (None: of all) those that have limits: their windows of a UTC day, of its month, and of runs,
        unless nothing is used of them. Users come with their monthly spend only, and not below so many percent of it;
        `percent` 0 leaves them out."""

    async def add(self, notices: Sequence[Notice], channels: Sequence[str]) -> list[Notice]:
        """Add notices, due on these channels at once. Those that were new by their id, in one transaction."""

    async def next_due(self, channel: str) -> int | None:
        """When the next delivery of a channel is due; None: there is none."""

    async def take(self, channel: str, now: int, until: int, most: int) -> list[tuple[Notice, int]]:
        """Up to so many notices that are due, the oldest first, each with its number of tries, this one included.
        Nobody else gets them before `until`."""

    async def settle(self, channel: str, notice_ids: Sequence[str], outcome: Delivery) -> None:
        """What a try came to: `next_at`, `delivered_at` and `error` of the outcome hold from now on."""

    async def recent(self, limit: int) -> list[tuple[Notice, list[Delivery]]]:
        """The newest notices first, with their deliveries by channel."""

    async def purge(self, before: int) -> None:
        """Forget notices that are older."""


class Changes(Protocol):
    """How processes that share a database tell one another what they changed. Topics: "key", "user", and others."""

    async def publish(self, topic: str, subject: str) -> None:
        """Tell every other process; stores that do so themselves say so. Raises StorageUnavailable."""

    def listen(self, topic: str, heard: Callable[[str], Awaitable[None]]) -> None:
        """Call `heard` with the subject of each change of a topic that another process told of, within two seconds;
        with EVERYTHING when some may have been missed. What raises StorageUnavailable is called again."""


class Rates(Protocol):
    """Rates that all processes share. Never about money: they may forget."""

    async def take(self, scope: str, limit: int, window: float) -> float | None:
        """Count one event in a sliding window of so many seconds. Seconds until one fits, 0.0: it was counted; None:
        nobody knows now, go by a share of one's own. Never raises, never waits longer than 50 milliseconds."""


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
