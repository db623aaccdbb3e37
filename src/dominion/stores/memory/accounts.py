"""The stores without a disk, for tests of the floors above: same contracts, nothing survives the process.

Every store takes `before`, called first in every operation: it may raise StorageUnavailable, at the Nth time if need
be.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import asdict, astuple, replace

from dominion.domain.allowances import NOTHING, Amount, WindowKey
from dominion.domain.analytics import Counted
from dominion.domain.errors import Conflict, NotFound
from dominion.domain.people import ApiKey, Limits, User, UserStatus
from dominion.domain.records import JournalRecord, Outcome, SummaryKey, Totals, UsageRow, UsageSummary
from dominion.rules.limits.shares import windows_of_row
from dominion.rules.windows import iso_day
from dominion.stores.sums import (
    Group,
    GroupSums,
    Hour,
    HourSums,
    add_to,
    add_up,
    days_of,
    hours_of,
    windows_of,
)


def nothing() -> None:
    """The default of `before`: storage is well."""


class MemoryPeople:
    """`PeopleStore` in dictionaries."""

    def __init__(self, before: Callable[[], None] = nothing) -> None:
        """Empty."""
        self._before = before
        self._users: dict[str, User] = {}
        self._keys: dict[str, ApiKey] = {}

    async def add_user(self, user: User) -> None:
        """Raises Conflict when the id exists."""
        self._before()
        if user.id in self._users:
            raise Conflict(f"A user with the id {user.id!r} exists already.")
        self._users[user.id] = user

    async def user(self, user_id: str) -> User | None:
        """One user."""
        self._before()
        return self._users.get(user_id)

    async def users(self, *, after: str = "", limit: int = 100) -> list[User]:
        """Users in the order of their ids, from the one after `after`."""
        self._before()
        return [self._users[user_id] for user_id in sorted(self._users) if user_id > after][:limit]

    async def set_status(self, user_id: str, status: UserStatus) -> User | None:
        """The changed user, or None."""
        self._before()
        if user := self._users.get(user_id):
            self._users[user_id] = replace(user, status=status)
        return self._users.get(user_id)

    async def set_limits(self, user_id: str, limits: Limits) -> User | None:
        """The changed user, or None."""
        self._before()
        if user := self._users.get(user_id):
            self._users[user_id] = replace(user, limits=limits)
        return self._users.get(user_id)

    async def add_key(self, key: ApiKey) -> None:
        """Raises NotFound when the user does not exist, Conflict when the id exists."""
        self._before()
        if key.user_id not in self._users:
            raise NotFound(f"There is no user with the id {key.user_id!r}.")
        if key.id in self._keys:
            raise Conflict(f"A key with the id {key.id!r} exists already.")
        self._keys[key.id] = key

    async def key(self, key_id: str) -> tuple[ApiKey, User] | None:
        """A key, revoked or not, with its user."""
        self._before()
        key = self._keys.get(key_id)
        return (key, self._users[key.user_id]) if key else None

    async def keys(self, user_id: str) -> list[ApiKey]:
        """All keys of a user, newest first."""
        self._before()
        own = [key for key in self._keys.values() if key.user_id == user_id]
        return sorted(own, key=lambda key: (key.created_at, key.id), reverse=True)

    async def revoke_key(self, key_id: str, at: int) -> ApiKey | None:
        """The key, revoked now or before; None when there is none."""
        self._before()
        key = self._keys.get(key_id)
        if key and key.revoked_at is None:
            self._keys[key_id] = replace(key, revoked_at=at)
        return self._keys.get(key_id)

    async def expire_key(self, key_id: str, at: int) -> ApiKey | None:
        """The key, which expires at `at` or as before, if that is earlier; None when there is none."""
        self._before()
        key = self._keys.get(key_id)
        if key and (key.expires_at is None or at < key.expires_at):
            self._keys[key_id] = replace(key, expires_at=at)
        return self._keys.get(key_id)


class Lease(Struct):
    """A row of `schema.standings.leases`."""

    granted: Amount = NOTHING
    posted: Amount = NOTHING
    used: Amount = NOTHING
    recall: bool = False

    @property
    def out(self) -> Amount:
        """What is neither returned nor posted."""
        return self.granted - self.posted


class Tables(Struct):
    """What the ledgers of several processes share."""

    rows: dict[str, UsageRow] = {}
    groups: dict[Group, GroupSums] = {}
    leases: dict[tuple[str, WindowKey], Lease] = {}


class MemoryLedger:
    """`LedgerStore` in dictionaries. `process_id` as in `SqlLedger`."""

    def __init__(
        self, before: Callable[[], None] = nothing, *, tables: Tables | None = None, process_id: str = ""
    ) -> None:
        """Empty, or over tables that others use, too."""
        self._before = before
        self._process_id = process_id
        self.tables = tables or Tables()
        self._rows, self._groups, self.leases = self.tables.rows, self.tables.groups, self.tables.leases

    async def add(self, rows: Sequence[UsageRow]) -> int:
        """Add rows and their sums; rows whose id exists are left alone. Returns how many were new."""
        self._before()
        count = len(self._rows)
        for row in rows:
            if row.id not in self._rows:
                self._rows[row.id] = row
                add_up([row], self._groups)
                self._use_up_leases(row)
        return len(self._rows) - count

    async def totals(self, user_id: str, day: int, month: int) -> tuple[Totals, Totals]:
        """Sums of one UTC day (days since the epoch) and one month (year * 12 + month - 1)."""
        today, this_month = await self.windows([(f"user:{user_id}", "d", day), (f"user:{user_id}", "m", month)])
        return today, this_month

    async def windows(self, keys: Sequence[WindowKey]) -> list[Totals]:
        """Sums of any windows."""
        self._before()
        known = windows_of(self._groups, None)
        return [known.get(key, Totals()) for key in keys]

    def _use_up_leases(self, row: UsageRow) -> None:
        if self._process_id and row.outcome not in {Outcome.FAILED, Outcome.LOST, Outcome.CORRECTION, Outcome.FOUND}:
            for window in windows_of_row(row):
                if lease := self.leases.get((self._process_id, window)):
                    lease.posted += Amount(1, row.input_tokens + row.output_tokens, row.cost_nano)

    async def summary(self, *, user_id: str | None, first_day: int, last_day: int) -> list[UsageSummary]:
        """Sums by day, user, provider and model, in this order; both days are included."""
        self._before()
        days: dict[Hour, HourSums] = {}
        for (hour, user, provider, model), sums in hours_of(self._groups).items():
            day = hour // 24
            if first_day <= day <= last_day and user_id in (None, user):
                add_to(days.setdefault((day, user, provider, model), HourSums()), sums)
        return [
            UsageSummary(iso_day(day), user, provider, model, **asdict(sums))
            for (day, user, provider, model), sums in sorted(days.items())
        ]

    async def summary_page(self, first_day: int, last_day: int, after: SummaryKey, limit: int) -> list[UsageSummary]:
        """The same of all users, as far as they come after a key: so many of them."""
        found = await self.summary(user_id=None, first_day=first_day, last_day=last_day)
        key = (iso_day(after[0]), *after[1:])
        return [one for one in found if (one.day, one.user_id, one.provider, one.model) > key][:limit]

    async def overall(self, first_day: int, last_day: int) -> Counted:
        """Sums of all users over days, both included."""
        self._before()
        total = GroupSums()
        for (day, *_), sums in days_of(self._groups).items():
            if first_day <= day <= last_day:
                add_to(total, sums)
        return Counted("", *astuple(total))

    async def rows(self, *, user_id: str | None, limit: int) -> list[UsageRow]:
        """The newest rows first."""
        self._before()
        rows = [row for row in self._rows.values() if user_id in (None, row.user_id)]
        return sorted(rows, key=lambda row: (row.at, row.id), reverse=True)[:limit]

    async def rows_between(self, first: int, end: int, *, limit: int) -> list[UsageRow]:
        """Rows of a period in the order of time, then id; `first` and `end` (excluded) are epoch milliseconds."""
        self._before()
        rows = [row for row in self._rows.values() if first <= row.at < end]
        return sorted(rows, key=lambda row: (row.at, row.id))[:limit]


class MemorySettings:
    """`SettingsStore` in a dictionary."""

    def __init__(self, before: Callable[[], None] = nothing) -> None:
        """Empty."""
        self._before = before
        self._values: dict[str, bytes] = {}

    async def get(self, name: str) -> bytes | None:
        """The value."""
        self._before()
        return self._values.get(name)

    async def put(self, name: str, value: bytes) -> None:
        """Set the value."""
        self._before()
        self._values[name] = value

    async def claim(self, name: str, value: bytes) -> bool:
        """Set the value if there is none; whether this call did."""
        self._before()
        if name in self._values:
            return False
        self._values[name] = value
        return True


class MemoryJournal:
    """`Journal` in lists, one per segment. `earlier` are the records that an earlier process left."""

    def __init__(self, earlier: Sequence[JournalRecord] = (), before: Callable[[], None] = nothing) -> None:
        """Hold what the earlier process left, and begin a segment."""
        self._before = before
        self._segments: dict[int, list[JournalRecord]] = {1: list(earlier), 2: []}
        self._number = 2

    @property
    def left(self) -> list[JournalRecord]:
        """What a process that died now would leave."""
        return [record for number in sorted(self._segments) for record in self._segments[number]]

    def append(self, record: JournalRecord) -> None:
        """Raises what `before` raises; then nothing of the record counts."""
        self._before()
        self._segments[self._number].append(record)

    def rotate(self) -> int:
        """Close the segment, begin the next, and return the number of the closed one; an empty segment is kept."""
        self._before()
        if self._segments[self._number]:
            self._number += 1
            self._segments[self._number] = []
        return self._number - 1

    def discard(self, up_to: int) -> None:
        """Forget segments up to this number, never the open one."""
        self._before()
        self._segments = {n: records for n, records in self._segments.items() if n > up_to or n == self._number}

    def replay(self) -> list[JournalRecord]:
        """What the earlier process left, unless discarded."""
        self._before()
        return list(self._segments.get(1, ()))

    def sync(self) -> None:
        """Nothing to bring to a disk."""
        self._before()

    def close(self) -> None:
        """Nothing to close."""
