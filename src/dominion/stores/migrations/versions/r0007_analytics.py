"""Roll-ups for figures over all users, made of the rows that are there."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
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
SUMS = f"""
    CAST(SUM(CASE outcome WHEN 3 THEN 0 WHEN 5 THEN 0 WHEN 6 THEN -1 ELSE 1 END) AS BIGINT),
    CAST(SUM(CASE outcome WHEN 3 THEN 1 ELSE 0 END) AS BIGINT),
    {", ".join(f"CAST(SUM(CASE outcome WHEN 3 THEN 0 ELSE {name} END) AS BIGINT)" for name in COUNTS[2:8])},
    CAST(SUM(CASE outcome WHEN 1 THEN 1 ELSE 0 END) AS BIGINT),
    CAST(SUM(CASE outcome WHEN 2 THEN 1 ELSE 0 END) AS BIGINT)
FROM usage GROUP BY 1, 2"""
OF_DAYS = f"INSERT INTO usage_days SELECT at / 86400000, provider, model, {SUMS}, 3"
OF_CUSTOMERS = f"SELECT at / 86400000, customer, {SUMS}"


def upgrade() -> None:
    """Make every table of 0007."""
    op.create_index("ix_usage_windows_kind_number_scope", "usage_windows", ["kind", "number", "scope"])
    op.create_table(
        "usage_days",
        sa.Column("day", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("provider", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        *(sa.Column(name, BIG, nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("day", "provider", "model", name="pk_usage_days"),
        sqlite_with_rowid=False,
    )
    op.execute(OF_DAYS)
    customers = op.create_table(
        "usage_customers",
        sa.Column("month", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("customer", KEY, nullable=False),
        *(sa.Column(name, BIG, nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("month", "customer", name="pk_usage_customers"),
        sqlite_with_rowid=False,
    )
    found = _months(op.get_bind())
    op.bulk_insert(
        customers,
        [dict(zip(("month", "customer", *COUNTS), (*key, *sums), strict=True)) for key, sums in found.items()],
    )


def _months(connection: sa.Connection) -> dict[tuple[int, str], list[int]]:
    found: dict[tuple[int, str], list[int]] = {}
    for day, customer, *counts in connection.execute(sa.text(OF_CUSTOMERS)):
        date = datetime.fromtimestamp(int(day) * 86_400, UTC)
        sums = found.setdefault((date.year * 12 + date.month - 1, customer), [0] * len(COUNTS))
        sums[:] = map(sum, zip(sums, map(int, counts), strict=True))
    return found
