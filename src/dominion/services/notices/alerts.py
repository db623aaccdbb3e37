"""Tells operators of limits that fill up, of answers that cost more than was set aside, and of providers that fail.

Fed by what has come into the database and by failures; never in the way of a request. A limit is looked at soon after
each row of its scope. All of them are looked at from time to time, so that nothing is missed that another process
wrote, that an earlier one left, or that came about by a changed limit.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from dominion.domain.alerts import Level
from dominion.domain.allowances import scopes_of
from dominion.domain.contracts import Clock
from dominion.domain.errors import ProviderError, ProviderRefused, StorageUnavailable
from dominion.domain.records import UsageRow
from dominion.domain.stores import AlertStore
from dominion.domain.usage import usd
from dominion.rules.alerts import crossed, data, sentence
from dominion.rules.windows import day_of, month_of
from dominion.services.notices.delivery import Draft, Notices
from dominion.services.offer.routing import Route

LOG = logging.getLogger("dominion.alerts")
PAUSE = 0.5
"""Seconds between two looks, so that many rows cost one."""
BUDGETS = 60.0
"""Seconds between two looks at all budgets, which are few."""
USERS = 10
"""Each so many of these are at the limits of all users, too."""
AGAIN = 1.0
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
MOST_TOUCHED = 10_000
"""Groups of rows that wait for a look; above, all limits are looked at."""
MOST_TOLD = 100_000
"""Names of what was told, kept to spare the database; it knows them all."""
MOST_PENDING = 1_000
AT_A_TIME = 100
"""Limits whose alerts are made in one turn of the event loop, and written in one transaction."""
LIMIT = "limit"

Touched = tuple[int, str, str, str, str, str]
"""The day of a row, its user, key, provider, customer and run."""


class Alerts:
    """Belongs to one event loop. `thresholds` are percentages of users' monthly spend; other limits have their own."""

    def __init__(self, store: AlertStore, notices: Notices, clock: Clock, thresholds: tuple[int, ...]) -> None:
        self._store = store
        self._notices = notices
        self._clock = clock
        self._thresholds = thresholds
        self._touched: set[Touched] | None = None  # None: everything
        self._all_budgets = False
        self._pending: dict[str, Draft] = {}
        self._told: set[str] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # --- what it is told; none of these may raise or wait

    def posted(self, rows: Sequence[UsageRow]) -> None:
        """These rows are in the database now."""
        if self._touched is not None:
            self._touched.update(
                [(row.at // DAY_MS, row.user_id, row.key_id, row.provider, row.customer, row.run) for row in rows]
            )
            if len(self._touched) > MOST_TOUCHED:
                self._touched = None
        for row in rows:
            if row.over_hold:
                self._over_hold(row)
        self._news.set()

    def after(self, first: Callable[[ProviderError, Route], None]) -> Callable[[ProviderError, Route], None]:
        """Calls `first`, then `given_up`."""

        def both(error: ProviderError, route: Route) -> None:
            first(error, route)
            self.given_up(error, route)

        return both

    def given_up(self, error: ProviderError, route: Route) -> None:
        """A request failed at every provider that could be asked; `route` is the last one. Told once an hour for each
        provider and kind of failure; what a caller's own key met, and requests that were wrong, are not our affair."""
        if route.own is not None or isinstance(error, ProviderRefused):
            return
        slot, hour = route.slot.row, int(self._clock.now() * 1000) // HOUR_MS
        text = (
            f"No provider could answer a request for {route.name}; the last that was asked, {slot.name}: {error.code}."
        )
        about = {"provider": slot.id, "model": route.name, "code": error.code, "status": error.status}
        self._pend(Draft("providers_failed", text, about, f"{slot.id} {error.code} {hour}"))

    def _over_hold(self, row: UsageRow) -> None:
        name = f"{row.provider}/{row.model}"
        text = (
            f"{name} used more than a request allowed: {row.output_tokens} tokens of output, {usd(row.cost_nano)} US "
            f"dollars (request {row.id}). What is left of the limits follows the truth."
        )
        about = {"request_id": row.id, "provider": row.provider, "model": row.model, "user_id": row.user_id}
        used = {"input_tokens": row.input_tokens, "output_tokens": row.output_tokens, "cost_usd": usd(row.cost_nano)}
        self._pend(Draft("over_hold", text, about | used, f"{name} {row.at // HOUR_MS}"))

    def _pend(self, draft: Draft) -> None:
        name = f"{draft.kind} {draft.once}"
        if name not in self._told and len(self._pending) < MOST_PENDING:
            self._pending.setdefault(name, draft)
            self._news.set()

    # --- the background

    def start(self) -> None:
        """Begin, with all limits."""
        self._news.set()
        self._task = asyncio.create_task(self._always())

    async def close(self) -> None:
        """Stop, once what is known is in the outbox."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self.look()
        except StorageUnavailable as error:
            LOG.warning("alerts may come late: %s", error.message)

    def look_at_all(self, *, users: bool) -> None:
        """The next look is at all budgets, and at the limits of all users if they are meant, too."""
        self._all_budgets = True
        if users:
            self._touched = None

    async def look(self) -> None:
        """Put whatever is to be told into the outbox. Raises StorageUnavailable; then the next look does it."""
        touched, self._touched = self._touched, set()
        budgets, self._all_budgets = self._all_budgets, False
        pending = dict(self._pending)
        try:
            await self._send(list(pending.values()))
            for name in pending:
                del self._pending[name]
            levels = await self._levels(touched, budgets=budgets)
            for start in range(0, len(levels), AT_A_TIME):
                await asyncio.sleep(0)  # let requests go first
                await self._send([each for level in levels[start : start + AT_A_TIME] for each in self._drafts(level)])
        except BaseException:
            self._touched = None if touched is None or self._touched is None else self._touched | touched
            self._all_budgets |= budgets
            raise

    async def _levels(self, touched: set[Touched] | None, *, budgets: bool) -> list[Level]:
        """Of today and, for everything, of yesterday: its last rows may have come late."""
        lowest = min(self._thresholds, default=0)
        today = day_of(self._clock.now())
        if touched is None:
            again = month_of(today - 1) == month_of(today)
            earlier = await self._store.levels(None, today - 1, 0 if again else lowest)
            return earlier + await self._store.levels(None, today, lowest)
        days: dict[int, set[str]] = {}
        for day, *labels in touched:
            days.setdefault(day, set()).update(scopes_of(*labels))
        found = await self._store.levels(None, today, 0) if budgets else []
        return found + [level for day in days for level in await self._store.levels(days[day], day, lowest)]

    def _drafts(self, level: Level) -> list[Draft]:
        if level.scope.startswith("user:"):
            level = replace(level, limits=replace(level.limits, alerts=self._thresholds))
        new = [each for each in crossed(level) if f"{LIMIT} {each.name}" not in self._told]
        return [Draft(LIMIT, sentence(each), data(each), each.name) for each in new]

    async def _send(self, drafts: Sequence[Draft]) -> None:
        if not drafts:
            return
        await self._notices.send_all(drafts)
        if len(self._told) > MOST_TOLD:
            self._told.clear()
        self._told.update(f"{each.kind} {each.once}" for each in drafts)

    async def _always(self) -> None:
        """Look after news, at most every PAUSE, and at all budgets every BUDGETS."""
        loop = asyncio.get_running_loop()
        looks, then = 0, loop.time() + BUDGETS
        while True:
            waking = loop.call_at(then, self._news.set)
            await self._news.wait()
            waking.cancel()
            self._news.clear()
            if loop.time() >= then:
                looks, then = looks + 1, loop.time() + BUDGETS
                self.look_at_all(users=looks % USERS == 0)
            pause = PAUSE
            try:
                await self.look()
            except StorageUnavailable as error:
                LOG.debug("the limits cannot be looked at: %s", error.message)
                pause = AGAIN
                self._news.set()
            except Exception:
                LOG.exception("a defect of the gateway: limits were not looked at")
            await asyncio.sleep(pause)
