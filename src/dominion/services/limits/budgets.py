"""The operator's view of budgets and of what is set aside: answers are plain values, ready for JSON."""

import logging
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from dominion.domain.allowances import ALERTS, EVERY_RUN, ScopeLimits
from dominion.domain.contracts import Clock
from dominion.domain.errors import InvalidRequest, NotFound
from dominion.domain.records import Totals
from dominion.domain.stores import AuditStore, BudgetStore, Changes, LedgerStore, PeopleStore
from dominion.domain.usage import nano_from_usd, usd
from dominion.rules.windows import day_end, day_of, iso, month_end, month_of
from dominion.services.limits.admission import Admission, Hold
from dominion.services.limits.posting import Posting
from dominion.services.limits.scopes import Scopes
from dominion.services.offer.lineup import Lineup

LOG = logging.getLogger("dominion.budgets")
TOPIC = "budget"
KINDS = ("key", "provider", "customer", "run")
LONGEST_NAME = 128
LARGEST_LIMIT = 10**15
LARGEST_ALERT = 1_000
COUNTS = (
    "daily_requests",
    "daily_tokens",
    "concurrent_requests",
    "requests_per_minute",
    "soft_run_tokens",
    "hard_run_tokens",
)
MONEY = {"daily_spend_cap_usd": "daily_spend_nano", "monthly_spend_cap_usd": "monthly_spend_nano"}


class BudgetChanges(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `PUT /admin/budgets`: what is absent stays, null lifts a limit; a budget without limits is removed.

    `alerts` are percentages of any of the limits.
    """

    scope: str
    daily_requests: int | msgspec.UnsetType | None = msgspec.UNSET
    daily_tokens: int | msgspec.UnsetType | None = msgspec.UNSET
    daily_spend_cap_usd: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    monthly_spend_cap_usd: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    concurrent_requests: int | msgspec.UnsetType | None = msgspec.UNSET
    requests_per_minute: int | msgspec.UnsetType | None = msgspec.UNSET
    soft_run_tokens: int | msgspec.UnsetType | None = msgspec.UNSET
    hard_run_tokens: int | msgspec.UnsetType | None = msgspec.UNSET
    alerts: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET


class Budgets:
    """Limits of keys, providers, customers and runs; and the holds of this process."""

    def __init__(
        self,
        store: BudgetStore,
        scopes: Scopes,
        admission: Admission,
        ledger: LedgerStore,
        posting: Posting,
        people: PeopleStore,
        lineup: Lineup,
        audit: AuditStore,
        changes: Changes,
        clock: Clock,
        thresholds: tuple[int, ...] = ALERTS,
    ) -> None:
        self._store = store
        self._scopes = scopes
        self._admission = admission
        self._ledger = ledger
        self._posting = posting
        self._people = people
        self._lineup = lineup
        self._audit = audit
        self._changes = changes
        self._clock = clock
        self._thresholds = thresholds

    async def begin(self) -> None:
        """Read the budgets, and again when another process has changed one. Raises StorageUnavailable."""
        self._changes.listen(TOPIC, self._changed)
        await self._scopes.load()

    async def _changed(self, _scope: str) -> None:
        await self._scopes.load()

    async def all(self) -> dict[str, Any]:
        """Every budget, with what is used of it now. Raises StorageUnavailable."""
        await self._posting.flush()
        budgets = await self._store.budgets()
        return {"budgets": [await self._shown(scope, limits) for scope, limits in sorted(budgets.items())]}

    async def set(self, form: BudgetChanges, request_id: str) -> dict[str, Any]:
        """Set limits of a scope; they hold from the next request on. Raises InvalidRequest, NotFound,
        StorageUnavailable."""
        check_scope(form.scope)
        before = (await self._store.budgets()).get(form.scope)
        after = changed(before or ScopeLimits(alerts=self._thresholds), form)
        unlimited = after == ScopeLimits(alerts=after.alerts)
        if before is None:
            await self._check_there_is(form.scope)
        now = self._clock.now()
        shown = (None if before is None else show_limits(before), None if unlimited else show_limits(after))
        await self._audit.append(int(now * 1000), "admin", "budgets.set", form.scope, *shown, request_id)
        if unlimited:
            await self._store.remove_budget(form.scope)
        else:
            await self._posting.flush()
            await self._store.put_budget(form.scope, after, int(now))
        await self._scopes.load()
        await self._changes.publish(TOPIC, form.scope)
        LOG.info("budget of %s changed", form.scope)
        return await self._shown(form.scope, after)

    async def _check_there_is(self, scope: str) -> None:
        """A misspelt name would be a limit of nobody. Raises NotFound; customers and runs have the names one gives."""
        kind, _, name = scope.partition(":")
        if kind == "key" and await self._people.key(name) is None:
            raise NotFound(f"There is no key {name!r}.", action="List the keys of a user: GET /admin/keys?user_id=")
        providers = dict.fromkeys(slot.row.id for slot in self._lineup.slots)
        if kind == "provider" and name not in providers:
            raise NotFound(f"There is no provider {name!r} here, only: {', '.join(providers)}.")

    async def follow(self, scope: str, successor: str) -> None:
        """A new scope takes over the limits of another, if that has any; its use begins anew."""
        limits = (await self._store.budgets()).get(scope)
        if limits is not None:
            await self._store.put_budget(successor, limits, int(self._clock.now()))
            await self._scopes.load()
            await self._changes.publish(TOPIC, successor)

    async def _shown(self, scope: str, limits: ScopeLimits) -> dict[str, Any]:
        day = day_of(self._clock.now())
        month = month_of(day)
        told: dict[str, Any] = {"scope": scope, "limits": show_limits(limits)}
        if scope == EVERY_RUN:
            return told
        if scope.startswith("run:"):
            (run,) = await self._ledger.windows([(scope, "r", 0)])
            return told | {"used": _totals(run)}
        today, this_month = await self._ledger.windows([(scope, "d", day), (scope, "m", month)])
        standing = self._scopes.standings.get(scope)
        held = standing.month.held_spend if standing is not None else 0
        return told | {
            "today": _totals(today) | {"resets_at": iso(day_end(day))},
            "month": _totals(this_month) | {"held_usd": usd(held), "resets_at": iso(month_end(month))},
        }

    def holds(self) -> dict[str, Any]:
        """What this process has set aside for requests that run, the oldest first."""
        now = self._clock.now() * 1000
        return {"holds": [_show_hold(hold, now) for hold in self._admission.holds.values()]}

    async def release(self, hold_id: str, request_id: str) -> dict[str, Any]:
        """Give back the money and tokens that are set aside for a request; it runs on, and what it used is charged when
        it ends. Raises NotFound."""
        hold = self._admission.holds.get(hold_id)
        if hold is None:
            raise NotFound(f"No request {hold_id[:80]!r} runs in this process.")
        now = self._clock.now() * 1000
        before = _show_hold(hold, now)
        await self._audit.append(int(now), "admin", "holds.release", f"hold:{hold_id}", before, None, request_id)
        self._admission.release(hold_id)
        LOG.warning("the hold of %s was released", hold_id)
        return _show_hold(hold, now) | {"released_usd": before["usd"], "released_tokens": before["tokens"]}


def check_scope(scope: str) -> None:
    """Raises InvalidRequest when there can be no such scope."""
    kind, _, name = scope.partition(":")
    if kind == "user":
        raise InvalidRequest("The limits of users are set with POST /admin/limits.", param="scope")
    if kind not in KINDS or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(
            'A scope is "key:ID", "provider:ID", "customer:LABEL", "run:LABEL" or "run:*".', param="scope"
        )


def changed(limits: ScopeLimits, form: BudgetChanges) -> ScopeLimits:
    """The limits after a change. Raises InvalidRequest."""
    changes: dict[str, Any] = {}
    for name in COUNTS:
        asked = getattr(form, name)
        if asked is not msgspec.UNSET:
            if asked is not None and not 0 <= asked <= LARGEST_LIMIT:
                raise InvalidRequest(f"{name} is a whole number from 0 to {LARGEST_LIMIT}, or null.", param=name)
            changes[name] = asked
    for name, field in MONEY.items():
        asked = getattr(form, name)
        if asked is not msgspec.UNSET:
            try:
                changes[field] = None if asked is None else nano_from_usd(format(asked, "f"))
            except ValueError as error:
                raise InvalidRequest(f"{name}: {error}.", param=name) from error
    if form.alerts is not msgspec.UNSET:
        if not all(1 <= percent <= LARGEST_ALERT for percent in form.alerts):
            raise InvalidRequest(f"alerts are percentages from 1 to {LARGEST_ALERT}.", param="alerts")
        changes["alerts"] = tuple(sorted(set(form.alerts)))
    only_runs = {"soft_run_tokens", "hard_run_tokens"}
    is_run = form.scope.startswith("run:")
    wrong = [name for name, value in changes.items() if value is not None and name != "alerts"]
    if any((name in only_runs) != is_run for name in wrong):
        raise InvalidRequest("Runs have soft_run_tokens and hard_run_tokens, all other scopes the rest.", param="scope")
    return replace(limits, **changes)


def show_limits(limits: ScopeLimits) -> dict[str, Any]:
    """Limits as JSON shows them."""
    money = {name: getattr(limits, field) for name, field in MONEY.items()}
    return {
        **{name: getattr(limits, name) for name in COUNTS},
        **{name: None if nano is None else usd(nano) for name, nano in money.items()},
        "alerts": list(limits.alerts),
    }


def _totals(totals: Totals) -> dict[str, Any]:
    return {"requests": totals.requests, "tokens": totals.tokens, "used_usd": usd(totals.spend_nano)}


def _show_hold(hold: Hold, now_ms: float) -> dict[str, Any]:
    record = hold.record
    named = ("id", "user_id", "key_id", "provider", "model", "door", "customer", "run")
    return {
        **{name: getattr(record, name) for name in named},
        "since": iso(hold.at // 1000),
        "seconds": round((now_ms - hold.at) / 1000, 1),
        "tokens": hold.grant.tokens,
        "usd": usd(hold.grant.nano),
    }
