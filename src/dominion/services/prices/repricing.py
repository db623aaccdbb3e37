"""Applies the prices of now to what was charged before. Adds correcting rows to the ledger, and never edits one."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import msgspec

from dominion.domain.contracts import Clock
from dominion.domain.errors import InvalidRequest
from dominion.domain.records import UsageRow
from dominion.domain.stores import AuditStore, LedgerStore
from dominion.domain.usage import usd
from dominion.providers.pricebook import PriceBook
from dominion.rules.prices.repricing import CHARGED, correction, grouped
from dominion.rules.windows import SECONDS_A_DAY, day_from_iso, iso_day
from dominion.services.completions.metering import LARGEST_CHARGE
from dominion.services.limits.posting import Posting

LOG = logging.getLogger("dominion.pricing")
PAGE = 5_000
DAY_MS = SECONDS_A_DAY * 1000


class Reprice(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /admin/prices/reprice`: UTC days, both included. `dry_run` only says what would be written."""

    first: str = msgspec.field(name="from")
    last: str = msgspec.field(name="to")
    dry_run: bool = False


class Period(NamedTuple):
    """Days since the epoch, both included."""

    first: int
    last: int


class Repricing:
    """Corrects the ledger, and has all in `follow` told of each row that it added."""

    def __init__(
        self,
        ledger: LedgerStore,
        posting: Posting,
        audit: AuditStore,
        book: PriceBook,
        clock: Clock,
        follow: Sequence[Callable[[UsageRow], None]],
    ) -> None:
        self._ledger = ledger
        self._posting = posting
        self._follow = follow
        self._audit = audit
        self._book = book
        self._clock = clock

    async def run(self, form: Reprice, request_id: str) -> dict[str, Any]:
        """Correct every row of a period whose cost is not what the book says for its second. Run again, it finds
        nothing to do. Rows without a price stay, as those of requests that were lost or that a caller's own key paid.

        Raises InvalidRequest, StorageUnavailable; then what was corrected so far is, and another run does the rest.
        """
        period = _period(form)
        await self._posting.flush()
        found: dict[tuple[str, str], list[int]] = {}
        if not form.dry_run:
            asked = {"from": form.first, "to": form.last}
            at = int(self._clock.now() * 1000)
            await self._audit.append(at, "admin", "prices.reprice", "ledger", None, asked, request_id)
        async for page in self._pages(period):
            corrections = list(filter(None, map(self._corrected, grouped(page).values())))
            for row in corrections:
                found.setdefault((row.provider, row.model), []).append(row.cost_nano)
            if corrections and not form.dry_run:
                await self._ledger.add(corrections)
                for row, tell in product(corrections, self._follow):
                    tell(row)
        LOG.info("repriced %s to %s: %d rows", form.first, form.last, sum(map(len, found.values())))
        return _told(period, found, dry_run=form.dry_run)

    async def _pages(self, period: Period) -> AsyncIterator[Sequence[UsageRow]]:
        """The rows of a period. A row and its corrections, which have the same time, are on one page."""
        first, end = period.first * DAY_MS, (period.last + 1) * DAY_MS
        limit = PAGE
        while rows := await self._ledger.rows_between(first, end, limit=limit):
            if len(rows) < limit:
                yield rows
                return
            last = rows[-1].at
            whole = [row for row in rows if row.at < last]
            limit = PAGE if whole else 2 * limit  # a page full of one millisecond: look further
            if whole:
                yield whole
                first = last

    def _corrected(self, group: Sequence[UsageRow]) -> UsageRow | None:
        row = group[0]
        if row.outcome not in CHARGED or row.list_nano is not None:  # a caller's own key has paid
            return None
        price = self._book.price(row.provider, row.model, row.at // 1000)
        return None if price is None else correction(group, price, LARGEST_CHARGE)


def _period(form: Reprice) -> Period:
    try:
        period = Period(day_from_iso(form.first), day_from_iso(form.last))
    except ValueError as error:
        raise InvalidRequest("Dates are written YYYY-MM-DD.", param="from") from error
    if period.first > period.last:
        raise InvalidRequest("The first day is after the last.", param="from")
    return period


def _told(period: Period, found: dict[tuple[str, str], list[int]], *, dry_run: bool) -> dict[str, Any]:
    """Corrections by provider and model, and their sum."""
    return {
        "from": iso_day(period.first),
        "to": iso_day(period.last),
        "dry_run": dry_run,
        "corrections": sum(map(len, found.values())),
        "difference_usd": usd(sum(map(sum, found.values()))),
        "models": [
            {"provider": provider, "model": model, "corrections": len(costs), "difference_usd": usd(sum(costs))}
            for (provider, model), costs in sorted(found.items())
        ],
    }
