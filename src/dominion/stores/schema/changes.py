"""The table by which processes tell one another what changed; see `tables` for units."""

from sqlalchemy import Column, Table, Text

from dominion.stores.schema.tables import BIG, METADATA

changes = Table(
    "changes",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("teller", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("subject", Text, nullable=False),
)
"""`number` grows in the order of the commits; `teller` is the process that knows already."""
