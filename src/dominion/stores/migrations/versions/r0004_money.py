"""Attempts, dated prices, alerts."""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of 0004."""
