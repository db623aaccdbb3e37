"""The operator's prices: shown, set, and kept fresh in every process. Never changes a price that was written."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from dominion.domain.contracts import Clock
from dominion.domain.errors import Conflict, InvalidRequest, UnknownProvider
from dominion.domain.prices import PriceRow
from dominion.domain.stores import AuditStore, PriceStore
from dominion.domain.usage import Price
from dominion.providers.catalog import Catalogue
from dominion.providers.pricebook import PriceBook
from dominion.rules.prices.pricing import is_leap, pico_per_token
from dominion.rules.windows import SECONDS_A_DAY, iso
from dominion.services.offer.lineup import Lineup
from dominion.services.offer.listing import PARTS, show_price

LOG = logging.getLogger("dominion.pricing")
LOOK_EVERY = 1.0
"""Seconds between two looks for prices that begin."""
LONGEST_NAME = 256
LONGEST_NOTE = 1000


class NewPrice(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /admin/prices`. Amounts are US dollars per million tokens, as decimal text or numbers.

    `model` is the provider's name for it, or "*". `valid_from` is ISO 8601 in UTC, a day or a second; absent: now.
    `confirm` is needed where `is_leap` says so.
    """

    provider: str
    model: str
    input_usd_per_million: Decimal
    output_usd_per_million: Decimal
    cache_read_usd_per_million: Decimal | None = None
    cache_write_usd_per_million: Decimal | None = None
    cache_write_1h_usd_per_million: Decimal | None = None
    valid_from: str | None = None
    note: str = ""
    confirm: bool = False


class Pricing:
    """The operator's view of the price book. Answers are plain values, ready for JSON."""

    def __init__(
        self,
        store: PriceStore,
        audit: AuditStore,
        book: PriceBook,
        catalogue: Catalogue,
        lineup: Lineup,
        clock: Clock,
    ) -> None:
        self._store = store
        self._audit = audit
        self._book = book
        self._catalogue = catalogue
        self._lineup = lineup
        self._clock = clock
        self._read = 0
        self._told = book.version

    # --- keeping the book fresh

    async def refresh(self) -> None:
        """Take in rows that were added, here or elsewhere. Raises StorageUnavailable; then what was read holds."""
        if await self._store.version() != self._read:
            rows = await self._store.rows()
            self._book.replace(rows)
            self._read = max((row.number for row in rows), default=0)
        self.turn()

    async def hear(self, _subject: str) -> None:
        """Another process has added a row. Raises as `refresh`."""
        await self.refresh()

    def turn(self) -> None:
        """Let prices begin whose time has come."""
        self._book.turn(self._clock.now())
        if self._book.version != self._told:
            self._told = self._book.version
            self._lineup.version += 1  # whoever remembers a route remembers its price

    async def watch(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Turn every second, for ever."""
        while True:
            await sleep(LOOK_EVERY)
            self.turn()

    # --- for operators

    async def prices(self) -> dict[str, Any]:
        """The price of every model that can be asked here, and where it stands (null: unpriced)."""
        now = self._clock.now()
        shown = []
        for row in self._catalogue.models(self._lineup.slots):
            model = row.sends or row.id
            price, source = self._book.explain(row.provider, model, now)
            shown.append({"provider": row.provider, "model": model, "source": source, **show_price(price)})
        return {"prices": shown}

    async def history(self, provider: str, model: str) -> dict[str, Any]:
        """Every price of a model in the order in which they begin, newest last; "valid_from" null: since ever."""
        if not provider or not model:
            raise InvalidRequest("Name provider and model.", param="model" if provider else "provider")
        rows, other, source = self._book.history(provider.lower(), model)
        earlier = [
            {
                "valid_from": None if each.first_day is None else iso(each.first_day * SECONDS_A_DAY),
                "source": source,
                "daily_seconds": each.daily,
                **show_price(each.price),
            }
            for each in other
        ]
        return {"provider": provider.lower(), "model": model, "prices": [*earlier, *map(show_row, rows)]}

    async def add(self, form: NewPrice, request_id: str) -> dict[str, Any]:
        """Write a row, and before it its entry of the audit log; it holds here at once and elsewhere within a second.

        Raises InvalidRequest, UnknownProvider, or Conflict for a leap that nobody confirmed.
        """
        row = self._row(form)
        before, _ = self._book.explain(row.provider, row.model, row.valid_from)
        if is_leap(before, row.price) and not form.confirm:
            raise Conflict(
                "The new price is more than a hundred times the one before, or less than a hundredth of it.",
                action="Check them: they are US dollars per million tokens. If they are right, send confirm: true.",
            )
        was = None if before is None else show_price(before)
        subject, is_now = f"price:{row.provider}/{row.model}", show_price(row.price) | {"from": iso(row.valid_from)}
        await self._audit.append(int(self._clock.now() * 1000), "admin", "price.set", subject, was, is_now, request_id)
        added = await self._store.add(row)
        LOG.info("price %d: %s/%s from %s", added.number, row.provider, row.model, iso(row.valid_from))
        await self.refresh()
        return show_row(added) | {"before": was}

    def _row(self, form: NewPrice) -> PriceRow:
        provider, model, now = form.provider.lower(), form.model.lower(), int(self._clock.now())
        if provider not in self._catalogue.providers and all(slot.row.id != provider for slot in self._lineup.slots):
            raise UnknownProvider(f"There is no provider {provider[:80]!r}.", param="provider")
        if not 0 < len(model) <= LONGEST_NAME or len(form.note) > LONGEST_NOTE:
            raise InvalidRequest("A price needs the name of a model, and a note of at most 1,000 characters.")
        return PriceRow(
            provider=provider,
            model=model,
            valid_from=now if form.valid_from is None else second_from_iso(form.valid_from),
            price=_price(form),
            note=form.note,
            created_at=now,
        )


def show_row(row: PriceRow) -> dict[str, Any]:
    """A row as JSON shows it."""
    return {
        "number": row.number,
        "provider": row.provider,
        "model": row.model,
        "valid_from": iso(row.valid_from),
        "source": "operator",
        **show_price(row.price),
        "note": row.note,
        "created_at": iso(row.created_at),
    }


def second_from_iso(text: str) -> int:
    """A day, or a day and a time, as epoch seconds; UTC unless it says otherwise. Raises InvalidRequest."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest("Write valid_from as 2026-01-31 or 2026-01-31T12:00:00Z.", param="valid_from") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _price(form: NewPrice) -> Price:
    """One-hour writes cost what other writes cost, unless told."""
    pico: dict[str, Any] = {}
    for part in PARTS:
        amount = getattr(form, f"{part}_usd_per_million")
        if amount is not None:
            try:
                pico[part] = pico_per_token(amount)
            except ValueError as error:
                raise InvalidRequest(f"{part}_usd_per_million: {error}.", param=f"{part}_usd_per_million") from error
    if "cache_write" in pico:
        pico.setdefault("cache_write_1h", pico["cache_write"])
    return Price(**pico)
