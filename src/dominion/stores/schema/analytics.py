"""The roll-ups that figures are read from, small whatever the number of users and rows; see `tables` for units.

`failed` requests are not among `requests`; those that the caller (`cancelled`) or the provider (`broken`) broke off
are.
"""

from sqlalchemy import Column, Integer, Table

from dominion.stores.schema.tables import BIG, KEY, METADATA

COUNTS = (
    "requests",
    "failed",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_nano",
    "cancelled",
    "broken",
)

usage_days = Table(
    "usage_days",
    METADATA,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("provider", KEY, primary_key=True),
    Column("model", KEY, primary_key=True),
    *(Column(name, BIG, nullable=False) for name in COUNTS),
    sqlite_with_rowid=False,
)
"""Of all users together. `day` counts UTC days since the epoch."""

usage_customers = Table(
    "usage_customers",
    METADATA,
    Column("month", Integer, primary_key=True, autoincrement=False),
    Column("customer", KEY, primary_key=True),
    *(Column(name, BIG, nullable=False) for name in COUNTS),
    sqlite_with_rowid=False,
)
"""`month` is year * 12 + month - 1; customer "": the request named none."""
