"""The tables of limits beyond users' own, and of the allowances of several processes; see `tables` for units."""

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from dominion.stores.schema.tables import BIG, KEY, METADATA

scope_limits = Table(
    "scope_limits",
    METADATA,
    Column("scope", KEY, primary_key=True),
    Column("daily_requests", BIG),
    Column("daily_tokens", BIG),
    Column("monthly_spend_nano", BIG),
    Column("concurrent_requests", BIG),
    Column("requests_per_minute", BIG),
    Column("daily_spend_nano", BIG),
    Column("soft_run_tokens", BIG),
    Column("hard_run_tokens", BIG),
    Column("alerts", Text, nullable=False),
)
"""The columns after the scope are the fields of `ScopeLimits`, in their order; `alerts` joined by commas."""

processes = Table(
    "processes",
    METADATA,
    Column("process_id", KEY, primary_key=True),
    Column("life", BIG, nullable=False),
    Column("beat", BIG, nullable=False),
    Column("lost", Boolean, nullable=False),
)
"""Whoever leases. `beat` grows with each report: who sees it stand still for long, by its own clock, may declare the
process lost, so that no two clocks are ever compared."""

leases = Table(
    "leases",
    METADATA,
    Column("process_id", KEY, primary_key=True),
    Column("scope", KEY, primary_key=True),
    Column("kind", String(1), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("requests", BIG, nullable=False),
    Column("tokens", BIG, nullable=False),
    Column("spend_nano", BIG, nullable=False),
    Column("posted_requests", BIG, nullable=False),
    Column("posted_tokens", BIG, nullable=False),
    Column("posted_spend_nano", BIG, nullable=False),
    Column("used_requests", BIG, nullable=False),
    Column("used_tokens", BIG, nullable=False),
    Column("used_spend_nano", BIG, nullable=False),
    Column("recall", Boolean, nullable=False),
    Index(None, "scope", "kind", "number"),
    sqlite_with_rowid=False,
)
"""One process's part of a window, in sums that only grow but for what is returned: granted, of that posted to
`usage_windows`, and of that settled or held when it last said so. Granted less posted is still out."""
