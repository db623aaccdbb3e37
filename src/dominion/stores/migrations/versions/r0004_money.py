"""Attempts, dated prices, alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make every table of 0004."""
    _prices()
    _attempts()
    op.add_column("usage", sa.Column("cache_write_1h_tokens", BIG, nullable=False, server_default=sa.text("0")))
    op.add_column("usage", sa.Column("list_nano", BIG))


def _prices() -> None:
    op.create_table(
        "price_rows",
        sa.Column("number", BIG, nullable=False, autoincrement=False),
        sa.Column("provider", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("valid_from", BIG, nullable=False),
        sa.Column("input", BIG, nullable=False),
        sa.Column("output", BIG, nullable=False),
        sa.Column("cache_read", BIG),
        sa.Column("cache_write", BIG),
        sa.Column("cache_write_1h", BIG),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_price_rows"),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("request_id", KEY, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("latency_ms", BIG, nullable=False),
        sa.Column("input_tokens", BIG, nullable=False),
        sa.Column("output_tokens", BIG, nullable=False),
        sa.Column("cost_nano", BIG, nullable=False),
        sa.Column("certainty", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "number", name="pk_attempts"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_attempts_at", "attempts", ["at"])
