"""Registered providers, their sealed credentials, and the audit log."""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of 0002."""
