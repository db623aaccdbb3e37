"""The tables of attempts, dated prices and alerts; see `tables` for units."""

from sqlalchemy import Column, Index, Integer, SmallInteger, Table, Text

from dominion.stores.schema.tables import BIG, KEY, METADATA

price_rows = Table(
    "price_rows",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=False),
    Column("provider", KEY, nullable=False),
    Column("model", KEY, nullable=False),
    Column("valid_from", BIG, nullable=False),
    Column("input", BIG, nullable=False),
    Column("output", BIG, nullable=False),
    Column("cache_read", BIG),
    Column("cache_write", BIG),
    Column("cache_write_1h", BIG),
    Column("note", Text, nullable=False),
    Column("created_at", BIG, nullable=False),
)
"""The operator's prices in pico-dollars per token; see `PriceRow`. Rows are added, never changed."""

attempts = Table(
    "attempts",
    METADATA,
    Column("request_id", KEY, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", BIG, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("latency_ms", BIG, nullable=False),
    Column("input_tokens", BIG, nullable=False),
    Column("output_tokens", BIG, nullable=False),
    Column("cost_nano", BIG, nullable=False),
    Column("certainty", SmallInteger, nullable=False),
    Index(None, "at"),
    sqlite_with_rowid=False,
)
"""Attempts that failed: the columns are the fields of `AttemptRecord`, in their order. `at` is epoch milliseconds."""

alerts = Table(
    "alerts",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("at", BIG, nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Text, nullable=False),
    Index(None, "at"),
)
"""The columns are the fields of `Notice`, in their order; `at` is epoch milliseconds, `data` JSON. The id is made of
what the notice is about, so that of all processes one adds it, once."""

alert_deliveries = Table(
    "alert_deliveries",
    METADATA,
    Column("alert_id", KEY, primary_key=True),
    Column("channel", KEY, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("next_at", BIG),
    Column("delivered_at", BIG),
    Column("error", Text, nullable=False),
    Index(None, "channel", "next_at"),
    sqlite_with_rowid=False,
)
"""The outbox: the columns after the id are the fields of `Delivery`, in their order; times are epoch milliseconds."""
