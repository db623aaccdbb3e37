"""Limits of more scopes than users, and the allowances of several processes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make every table of 0003."""
    for name in ("customer", "run"):
        op.add_column("usage", sa.Column(name, sa.Text(), nullable=False, server_default=sa.text("''")))
    op.create_table(
        "scope_limits",
        sa.Column("scope", KEY, nullable=False),
        sa.Column("daily_requests", BIG),
        sa.Column("daily_tokens", BIG),
        sa.Column("monthly_spend_nano", BIG),
        sa.Column("concurrent_requests", BIG),
        sa.Column("requests_per_minute", BIG),
        sa.Column("daily_spend_nano", BIG),
        sa.Column("soft_run_tokens", BIG),
        sa.Column("hard_run_tokens", BIG),
        sa.Column("alerts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_scope_limits"),
    )
    op.create_table(
        "processes",
        sa.Column("process_id", KEY, nullable=False),
        sa.Column("life", BIG, nullable=False),
        sa.Column("beat", BIG, nullable=False),
        sa.Column("lost", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", name="pk_processes"),
    )
    _leases()


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("process_id", KEY, nullable=False),
        sa.Column("scope", KEY, nullable=False),
        sa.Column("kind", sa.String(1), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("requests", BIG, nullable=False),
        sa.Column("tokens", BIG, nullable=False),
        sa.Column("spend_nano", BIG, nullable=False),
        sa.Column("posted_requests", BIG, nullable=False),
        sa.Column("posted_tokens", BIG, nullable=False),
        sa.Column("posted_spend_nano", BIG, nullable=False),
        sa.Column("used_requests", BIG, nullable=False),
        sa.Column("used_tokens", BIG, nullable=False),
        sa.Column("used_spend_nano", BIG, nullable=False),
        sa.Column("recall", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", "scope", "kind", "number", name="pk_leases"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_leases_scope_kind_number", "leases", ["scope", "kind", "number"])
