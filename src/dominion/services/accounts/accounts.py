"""Users, keys, limits and usage, for operators and for callers who ask about themselves."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from dominion.credentials.keys import KeyHasher, mint, split
from dominion.domain.analytics import Counted
from dominion.domain.contracts import Clock
from dominion.domain.errors import InvalidRequest, NotFound
from dominion.domain.people import ApiKey, Limits, User, UserStatus
from dominion.domain.records import UsageSummary
from dominion.domain.stores import AuditStore, LedgerStore, PeopleStore
from dominion.domain.usage import nano_from_usd, usd
from dominion.rules.limits.verdict import Standing
from dominion.rules.windows import day_end, day_from_iso, day_of, first_day, iso, iso_day, month_end, month_of
from dominion.services.accounts.identity import Identity
from dominion.services.limits.admission import Admission
from dominion.services.limits.posting import Posting

LOG = logging.getLogger("dominion.accounts")
LARGEST_LIMIT = 10**15
LONGEST_LIFE = 100 * 366 * 86_400
SUMMED = (
    "requests",
    "failed",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


class LimitChanges(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /admin/limits`: what is absent stays, null lifts a limit."""

    user_id: str
    daily_requests: int | msgspec.UnsetType | None = msgspec.UNSET
    daily_tokens: int | msgspec.UnsetType | None = msgspec.UNSET
    monthly_spend_cap_usd: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    concurrent_requests: int | msgspec.UnsetType | None = msgspec.UNSET
    requests_per_minute: int | msgspec.UnsetType | None = msgspec.UNSET


class Accounts:
    """The operator's view of the people store and the ledger. Answers are plain values, ready for JSON. Every change is
    in the audit log before it is made; without a `request_id` the gateway itself made it."""

    def __init__(
        self,
        people: PeopleStore,
        ledger: LedgerStore,
        posting: Posting,
        admission: Admission,
        identity: Identity,
        hasher: KeyHasher,
        audit: AuditStore,
        clock: Clock,
        defaults: Limits,
    ) -> None:
        self._people = people
        self._ledger = ledger
        self._posting = posting
        self._admission = admission
        self._identity = identity
        self._hasher = hasher
        self._audit = audit
        self._clock = clock
        self._defaults = defaults

    # --- users

    async def create_user(self, name: str, email: str | None = None, request_id: str = "") -> dict[str, Any]:
        """A new user with the default limits."""
        if not name.strip() or len(name) > 200 or (email is not None and len(email) > 320):  # noqa: PLR2004
            raise InvalidRequest("A user needs a name of 1 to 200 characters.", param="name")
        now = int(self._clock.now())
        user = User(f"usr_{secrets.token_hex(8)}", name.strip(), email, "active", self._defaults, now)
        limits = _show_limits(user.limits)  # nobody's name or address: what is in the audit log stays there
        await self._note("user.created", f"user:{user.id}", None, {"limits": limits}, request_id)
        await self._people.add_user(user)
        return show_user(user)

    async def users(self, after: str, limit: int) -> dict[str, Any]:
        """A page of users; `next` is the `after` of the next page."""
        page = await self._people.users(after=after, limit=limit + 1)
        more = len(page) > limit
        return {"users": [show_user(user) for user in page[:limit]], "next": page[limit - 1].id if more else None}

    async def user(self, user_id: str) -> dict[str, Any]:
        """One user, with keys and quota. Raises NotFound."""
        user = self._found(await self._people.user(user_id), user_id)
        return show_user(user) | {"keys": (await self.keys(user_id))["keys"], "quota": await self.quota(user)}

    async def set_status(self, user_id: str, status: UserStatus, request_id: str) -> dict[str, Any]:
        """Suspend or activate; holds from the next request on. Raises NotFound."""
        before = self._found(await self._people.user(user_id), user_id)
        was, is_now = {"status": before.status}, {"status": status}
        await self._note("user.status", f"user:{user_id}", was, is_now, request_id)
        user = self._found(await self._people.set_status(user_id, status), user_id)
        self._identity.forget_user(user_id)
        return show_user(user)

    async def set_limits(self, changes: LimitChanges, request_id: str) -> dict[str, Any]:
        """Change limits; holds from the next request on. Raises InvalidRequest, NotFound."""
        user = self._found(await self._people.user(changes.user_id), changes.user_id)
        now = user.limits
        limits = Limits(
            daily_requests=_changed("daily_requests", changes.daily_requests, now.daily_requests),
            daily_tokens=_changed("daily_tokens", changes.daily_tokens, now.daily_tokens),
            monthly_spend_nano=_spend(changes.monthly_spend_cap_usd, now.monthly_spend_nano),
            concurrent_requests=_changed("concurrent_requests", changes.concurrent_requests, now.concurrent_requests),
            requests_per_minute=_changed("requests_per_minute", changes.requests_per_minute, now.requests_per_minute),
        )
        await self._note("limits.set", f"user:{user.id}", _show_limits(now), _show_limits(limits), request_id)
        user = self._found(await self._people.set_limits(user.id, limits), user.id)
        self._admission.change_limits(user.id, limits)
        self._identity.forget_user(user.id)
        return show_user(user)

    @staticmethod
    def _found(user: User | None, user_id: str) -> User:
        if user is None:
            raise NotFound(f"There is no user {user_id[:80]!r}.")
        return user

    # --- keys

    async def create_key(
        self, user_id: str, name: str | None = None, expires_at: int | None = None, request_id: str = ""
    ) -> dict[str, Any]:
        """A new key; its plain text is in this answer and nowhere else. Raises InvalidRequest, NotFound."""
        if name is not None and len(name) > 200:  # noqa: PLR2004
            raise InvalidRequest("A key's name has at most 200 characters.", param="name")
        self._found(await self._people.user(user_id), user_id)
        now = int(self._clock.now())
        if expires_at is not None and not now < expires_at < now + LONGEST_LIFE:
            raise InvalidRequest("expires_at is a time to come, within a hundred years.", param="expires_at")
        minted = mint()
        parts = split(minted.plain)
        assert parts is not None  # noqa: S101 - it was minted one line above
        hashed = await asyncio.to_thread(self._hasher.hash, parts[1])
        key = ApiKey(
            id=minted.id,
            user_id=user_id,
            name=name,
            hash=hashed,
            digest=self._hasher.digest(parts[1]),
            last4=minted.plain[-4:],
            created_at=now,
            expires_at=expires_at,
        )
        await self._note("key.created", f"key:{key.id}", None, show_key(key), request_id)
        await self._people.add_key(key)
        return {
            "id": key.id,
            "user_id": user_id,
            "name": name,
            "api_key": minted.plain,
            "expires_at": None if expires_at is None else iso(expires_at),
            "message": "Save this key now!",
        }

    async def keys(self, user_id: str) -> dict[str, Any]:
        """All keys of a user, without their secrets."""
        return {"keys": [show_key(key) for key in await self._people.keys(user_id)]}

    async def revoke_key(self, key_id: str, request_id: str) -> dict[str, Any]:
        """Revoke; holds from the next request on. Raises NotFound."""
        found, now = await self._people.key(key_id), int(self._clock.now())
        if found is None:
            raise NotFound(f"There is no key {key_id[:80]!r}.")
        await self._note("key.revoked", f"key:{key_id}", show_key(found[0]), {"revoked_at": iso(now)}, request_id)
        key = await self._people.revoke_key(key_id, now)
        self._identity.forget_key(key_id)
        return show_key(key or found[0])

    async def _note(
        self, action: str, subject: str, before: dict[str, Any] | None, after: dict[str, Any] | None, request_id: str
    ) -> None:
        actor = "admin" if request_id else "system"
        await self._audit.append(int(self._clock.now() * 1000), actor, action, subject, before, after, request_id)
        LOG.info("%s of %s", action, subject)

    # --- usage

    async def quota(self, user: User) -> dict[str, Any]:
        """What a user has used and has left at this moment."""
        standing = await self._admission.overall(user)
        return show_quota(user, standing)

    async def usage(
        self, user_id: str | None, first: str | None, last: str | None, after: str = "", limit: int = 1
    ) -> dict[str, Any]:
        """Sums by day, provider and model; by default this month. Those of all users come in pages of `limit` rows.
        Raises InvalidRequest, NotFound."""
        today = day_of(self._clock.now())
        try:
            first_day_asked = day_from_iso(first) if first else first_day(month_of(today))
            last_day_asked = day_from_iso(last) if last else today
        except ValueError as error:
            raise InvalidRequest("Dates are written YYYY-MM-DD.", param="from") from error
        if user_id is not None:
            self._found(await self._people.user(user_id), user_id)
        await self._posting.flush()
        shown: dict[str, Any] = {"from": iso_day(first_day_asked), "to": iso_day(last_day_asked)}
        if user_id is None:
            return {"user_id": None} | shown | await self._usage_of_all(first_day_asked, last_day_asked, after, limit)
        rows = await self._ledger.summary(user_id=user_id, first_day=first_day_asked, last_day=last_day_asked)
        told = [_show_summary(row) for row in rows]
        return {"user_id": user_id, **shown, "totals": _show_totals(rows), "rows": told}

    async def _usage_of_all(self, first: int, last: int, after: str, limit: int) -> dict[str, Any]:
        """A page of rows, and the totals of them all. `after` is the `next` of the page before."""
        try:
            day, *names = after.split("/", 3) if after else ("1970-01-01", "", "", "")
            user_id, provider, model = names
            key = (day_from_iso(day), user_id, provider, model)
        except ValueError as error:
            raise InvalidRequest("after is the `next` of an earlier answer.", param="after") from error
        rows = await self._ledger.summary_page(first, last, key, limit + 1)
        totals = await self._ledger.overall(first, last)
        end = rows[limit - 1] if len(rows) > limit else None
        return {
            "totals": _show_totals([totals]),
            "rows": [_show_summary(row) for row in rows[:limit]],
            "next": None if end is None else f"{end.day}/{end.user_id}/{end.provider}/{end.model}",
        }


def show_user(user: User) -> dict[str, Any]:
    """A user as JSON shows it."""
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "status": user.status,
        "created_at": iso(user.created_at),
        "limits": _show_limits(user.limits),
    }


def _show_limits(limits: Limits) -> dict[str, Any]:
    return {
        "daily_requests": limits.daily_requests,
        "daily_tokens": limits.daily_tokens,
        "monthly_spend_cap_usd": None if limits.monthly_spend_nano is None else usd(limits.monthly_spend_nano),
        "concurrent_requests": limits.concurrent_requests,
        "requests_per_minute": limits.requests_per_minute,
    }


def show_key(key: ApiKey) -> dict[str, Any]:
    """A key as JSON shows it: never its secret."""
    return {
        "id": key.id,
        "user_id": key.user_id,
        "name": key.name,
        "last4": key.last4,
        "created_at": iso(key.created_at),
        "revoked_at": None if key.revoked_at is None else iso(key.revoked_at),
        "expires_at": None if key.expires_at is None else iso(key.expires_at),
    }


def show_quota(user: User, standing: Standing) -> dict[str, Any]:
    """A standing as JSON shows it. `used` is settled, `held` is set aside for running requests."""
    limits, day, month = standing.limits, standing.day, standing.month
    midnight, month_edge = iso(day_end(day.number)), iso(month_end(month.number))
    spend = limits.monthly_spend_nano
    return {
        "user_id": user.id,
        "name": user.name,
        "status": user.status,
        "daily_requests": _counted(limits.daily_requests, day.requests, day.held_requests) | {"resets_at": midnight},
        "daily_tokens": _counted(limits.daily_tokens, day.tokens, day.held_tokens) | {"resets_at": midnight},
        "monthly_spend": {
            "limit_usd": None if spend is None else usd(spend),
            "used_usd": usd(month.spend),
            "held_usd": usd(month.held_spend),
            "remaining_usd": None if spend is None else usd(max(0, spend - month.spend)),
            "resets_at": month_edge,
        },
        "concurrent_requests": {"limit": limits.concurrent_requests, "used": standing.running},
        "requests_per_minute": {"limit": limits.requests_per_minute, "used": standing.rate.count},
    }


def _counted(limit: int | None, used: int, held: int) -> dict[str, Any]:
    return {"limit": limit, "used": used, "held": held, "remaining": None if limit is None else max(0, limit - used)}


def _show_totals(rows: Sequence[UsageSummary | Counted]) -> dict[str, Any]:
    totals: dict[str, Any] = {name: sum(getattr(row, name) for row in rows) for name in SUMMED}
    more = {"cost_usd": usd(sum(row.cost_nano for row in rows))}
    return totals | {"total_tokens": totals["input_tokens"] + totals["output_tokens"]} | more


def _show_summary(row: UsageSummary) -> dict[str, Any]:
    shown: dict[str, Any] = {name: getattr(row, name) for name in ("day", "user_id", "provider", "model", *SUMMED)}
    return shown | {"cost_usd": usd(row.cost_nano)}


def _changed(name: str, asked: int | msgspec.UnsetType | None, now: int | None) -> int | None:
    if isinstance(asked, msgspec.UnsetType):
        return now
    if asked is not None and not 0 <= asked <= LARGEST_LIMIT:
        raise InvalidRequest(f"{name} is a whole number from 0 to {LARGEST_LIMIT}, or null.", param=name)
    return asked


def _spend(asked: Decimal | msgspec.UnsetType | None, now: int | None) -> int | None:
    if isinstance(asked, msgspec.UnsetType) or asked is None:
        return now if isinstance(asked, msgspec.UnsetType) else None
    try:
        return nano_from_usd(format(asked, "f"))
    except ValueError as error:
        raise InvalidRequest(f"monthly_spend_cap_usd: {error}.", param="monthly_spend_cap_usd") from error
