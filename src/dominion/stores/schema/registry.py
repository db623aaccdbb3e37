"""The tables of registered providers, their credentials and the audit log; see `tables` for units."""

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, Table, Text

from dominion.stores.schema.tables import BIG, KEY, METADATA

providers = Table(
    "providers",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("wire", Text, nullable=False),
    Column("scheme", Text, nullable=False),
    Column("chat_path", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("default_model", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("created_at", BIG, nullable=False),
    Column("updated_at", BIG, nullable=False),
    Column("last_validated_at", BIG),
    Column("problem", Text, nullable=False),
)
"""Registrations: `endpoint` is the base URL, `models` a JSON list of names."""

provider_credentials = Table(
    "provider_credentials",
    METADATA,
    Column("owner", KEY, primary_key=True),
    Column("name", KEY, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("last4", Text, nullable=False),
    Column("created_at", BIG, nullable=False),
)
"""The columns are the fields of `SealedCredential`, in their order. No plain text is ever here."""

audit_log = Table(
    "audit_log",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=False),
    Column("at", BIG, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", KEY, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("request_id", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index(None, "subject", "number"),
)
"""The columns are the fields of `AuditEntry`, in their order; `before` and `after` are JSON, `at` is epoch
milliseconds.
"""

change_counters = Table(
    "change_counters",
    METADATA,
    Column("name", KEY, primary_key=True),
    Column("value", BIG, nullable=False),
)
"""Numbers that a transaction takes one after the other: the lock on the row keeps gaps and doubles away."""
