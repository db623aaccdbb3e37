"""What the gateway's use looks like to operators: who and what it went to, where the month leads, how fast it was.

Read from roll-ups that stay small, but for latencies: those are of the newest requests only.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dominion.domain.allowances import WindowKey
from dominion.domain.analytics import Counted, Payer, Timed
from dominion.domain.contracts import Clock
from dominion.domain.errors import InvalidRequest, NotFound
from dominion.domain.records import Totals
from dominion.domain.stores import AnalyticsStore, LedgerStore, PeopleStore
from dominion.domain.usage import usd
from dominion.rules.projection import on_track, project, week_before
from dominion.rules.routing.latency import PERCENTS, error_rate, percentile, performance
from dominion.rules.windows import day_from_iso, day_of, first_day, iso, iso_day, month_end, month_of
from dominion.services.limits.posting import Posting
from dominion.services.offer.lineup import Lineup

NEWEST = 2_000
"""So many requests at most are read for latencies: some five milliseconds of the database's time."""
_COUNTS = Counted.__struct_fields__[1:]


class Analytics:
    """Figures over all users. Answers are plain values, ready for JSON."""

    def __init__(
        self,
        store: AnalyticsStore,
        ledger: LedgerStore,
        people: PeopleStore,
        lineup: Lineup,
        posting: Posting,
        clock: Clock,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._people = people
        self._lineup = lineup
        self._posting = posting
        self._clock = clock

    async def by(self, group: str, asked: Mapping[str, str], limit: int) -> dict[str, Any]:
        """Sums over days (`asked`: from and to, or a month), or over a month. Days are never cut to `limit`. Raises
        InvalidRequest."""
        first, last, month = self._period(asked)
        await self._posting.flush()
        days = await self._store.days("day", first, last)
        match group:
            case "day":
                rows, limit = [{"day": one.name, **_shown(one)} for one in days], len(days)
            case "provider" | "model":
                rows = [{group: one.name, **_shown(one)} for one in await self._store.days(group, first, last)]
            case "customer" | "user" if month is not None:
                rows = await self._by_payer(group, month, limit + 1)
            case "customer" | "user":
                raise InvalidRequest(f"Sums by {group} are kept for whole months: give month=YYYY-MM.", param="month")
            case _:
                raise InvalidRequest("group is one of provider, model, day, customer and user.", param="group")
        return {
            "group": group,
            "from": iso_day(first),
            "to": iso_day(last),
            "totals": _shown(Counted("", *(sum(getattr(one, name) for one in days) for name in _COUNTS))),
            "rows": rows[:limit],
            "more": len(rows) > limit,
        }

    async def _by_payer(self, group: Payer, month: int, limit: int) -> list[dict[str, Any]]:
        if group == "customer":
            return [{"customer": one.name, **_shown(one)} for one in await self._store.customers(month, limit)]
        return [
            {
                "user_id": user_id,
                "requests": sums.requests,
                "total_tokens": sums.tokens,
                "cost_usd": usd(sums.spend_nano),
            }
            for user_id, sums in await self._store.users(month, limit)
        ]

    def _period(self, asked: Mapping[str, str]) -> tuple[int, int, int | None]:
        """The first and the last day, and the month if it is one; without any, this month until today."""
        today = day_of(self._clock.now())
        named, first, last = (asked.get(name) for name in ("month", "from", "to"))
        try:
            if named:
                if first or last or not re.fullmatch(r"\d{4}-\d\d", named):
                    raise ValueError(named)
                begin = day_from_iso(f"{named}-01")
                return begin, day_of(month_end(month_of(begin))) - 1, month_of(begin)
            this_month = month_of(today)
            if not first and not last:
                return first_day(this_month), today, this_month
            return (
                day_from_iso(first) if first else first_day(this_month),
                day_from_iso(last) if last else today,
                None,
            )
        except (ValueError, OverflowError) as error:
            raise InvalidRequest("A period is month=YYYY-MM, or from and to as YYYY-MM-DD.", param="month") from error

    async def projection(self, user_id: str | None, provider: str | None) -> dict[str, Any]:
        """Where this month leads: of a user, a provider, or the gateway. Raises InvalidRequest, NotFound."""
        if user_id and provider:
            raise InvalidRequest("Ask for a user or for a provider.", param="provider")
        now = self._clock.now()
        month = month_of(day_of(now))
        await self._posting.flush()
        spent, week = await self._spent(user_id, provider, month, day_of(now))
        found = project(spent, week, now)
        return {
            "user_id": user_id,
            "provider": provider,
            "month": iso_day(first_day(month))[:7],
            "spent_usd": usd(spent),
            "projected_usd": usd(found.nano),
            "projected_from": "week" if found.by_share is None else "month",
            "by_month_usd": None if found.by_share is None else usd(found.by_share),
            "by_week_usd": usd(found.by_week),
            "text": on_track(found.nano),
        }

    async def _spent(self, user_id: str | None, provider: str | None, month: int, today: int) -> tuple[int, int]:
        """Nano-dollars of this month, and of the seven days before today."""
        before = week_before(today)
        if not user_id and not provider:
            days = await self._store.days("day", first_day(month), today)
            week = await self._store.days("day", before[0], before[-1])
            return sum(one.cost_nano for one in days), sum(one.cost_nano for one in week)
        scope = f"user:{user_id}" if user_id else f"provider:{provider}"
        keys: list[WindowKey] = [(scope, "m", month), *((scope, "d", day) for day in before)]
        this_month, *days_before = await self._ledger.windows(keys)
        if user_id and await self._people.user(user_id) is None:
            raise NotFound(f"There is no user {user_id[:80]!r}.")
        if provider and not self._knows(provider, [this_month, *days_before]):
            raise NotFound(f"There is no provider {provider[:80]!r}.")
        return this_month.spend_nano, sum(day.spend_nano for day in days_before)

    def _knows(self, provider: str, used: Iterable[Totals]) -> bool:
        """It can be asked, or it was asked lately."""
        return any(slot.row.id == provider for slot in self._lineup.slots) or any(totals != Totals() for totals in used)

    async def latency(self, hours: int) -> dict[str, Any]:
        """How fast each model answered and how often it failed, in the newest requests of so many hours."""
        now = self._clock.now()
        await self._posting.flush()
        found = await self._store.newest(int((now - hours * 3600) * 1000), NEWEST)
        models: dict[tuple[str, str], list[Timed]] = {}
        for one in found:
            models.setdefault((one.provider, one.model), []).append(one)
        all_of_them = len(found) < NEWEST
        return {
            "from": iso(now - hours * 3600 if all_of_them else found[-1].at / 1000),
            "to": iso(now),
            "newest_only": not all_of_them,
            "rows": [
                {"provider": provider, "model": model, **_performed(timed)}
                for (provider, model), timed in sorted(models.items(), key=lambda one: (-len(one[1]), one[0]))
            ],
        }


def _shown(one: Counted) -> dict[str, Any]:
    return {
        "requests": one.requests,
        "failed": one.failed,
        "broken": one.broken,
        "cancelled": one.cancelled,
        "error_rate": error_rate(one.requests, one.failed, one.broken),
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "cache_read_tokens": one.cache_read_tokens,
        "cache_write_tokens": one.cache_write_tokens,
        "reasoning_tokens": one.reasoning_tokens,
        "total_tokens": one.input_tokens + one.output_tokens,
        "cost_usd": usd(one.cost_nano),
    }


def _performed(timed: Iterable[Timed]) -> dict[str, Any]:
    found = performance(timed)
    return {
        "requests": found.requests,
        "failed": found.failed,
        "broken": found.broken,
        "cancelled": found.cancelled,
        "error_rate": error_rate(found.requests, found.failed, found.broken),
        "latency_ms": _percentiles(found.latency),
        "first_byte_ms": _percentiles(found.first),
        "tokens_per_second": percentile(found.speeds, 50) if found.speeds else None,
    }


def _percentiles(ordered: Any) -> dict[str, int] | None:
    return {f"p{percent}": percentile(ordered, percent) for percent in PERCENTS} if ordered else None
