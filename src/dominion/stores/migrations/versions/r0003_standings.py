"""Limits of more scopes than users, and the allowances of several processes."""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of 0003."""
