"""The tables of the database of record, one schema for SQLite and PostgreSQL; holds no statements but its upserts.

Times are epoch seconds unless the column says otherwise, money is integer nano-dollars. A change here needs a revision
in `migrations/versions` and a new HEAD: a test compares the two.
"""

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    TextClause,
    text,
)

HEAD = "0007"
"""The newest revision. Kept here because asking Alembic costs more than the rest of the start."""

BIG = BigInteger().with_variant(Integer(), "sqlite")
KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared and sorted byte by byte on both engines."""

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

users = Table(
    "users",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("status", Text, nullable=False),
    Column("created_at", BIG, nullable=False),
    Column("daily_requests", BIG),
    Column("daily_tokens", BIG),
    Column("monthly_spend_nano", BIG),
    Column("concurrent_requests", BIG),
    Column("requests_per_minute", BIG),
)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("user_id", KEY, ForeignKey("users.id"), nullable=False, index=True),
    Column("name", Text),
    Column("hash", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("last4", Text, nullable=False),
    Column("created_at", BIG, nullable=False),
    Column("revoked_at", BIG),
    Column("expires_at", BIG),
)

usage = Table(
    "usage",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("at", BIG, nullable=False),
    Column("user_id", KEY, nullable=False),
    Column("key_id", KEY, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("certainty", SmallInteger, nullable=False),
    Column("input_tokens", BIG, nullable=False),
    Column("output_tokens", BIG, nullable=False),
    Column("cache_read_tokens", BIG, nullable=False),
    Column("cache_write_tokens", BIG, nullable=False),
    Column("reasoning_tokens", BIG, nullable=False),
    Column("cost_nano", BIG, nullable=False),
    Column("latency_ms", BIG, nullable=False),
    Column("first_ms", BIG, nullable=False),
    Column("finish", Text, nullable=False),
    Column("over_hold", Boolean, nullable=False),
    Column("error", Text, nullable=False),
    Column("customer", Text, nullable=False, server_default=text("''")),
    Column("run", Text, nullable=False, server_default=text("''")),
    Column("cache_write_1h_tokens", BIG, nullable=False, server_default=text("0")),
    Column("list_nano", BIG),
    Index(None, "at"),
    Index(None, "user_id", "at"),
)
"""The ledger: the columns are the fields of `UsageRow`, in their order. `at` is epoch milliseconds."""

usage_windows = Table(
    "usage_windows",
    METADATA,
    Column("scope", KEY, primary_key=True),
    Column("kind", String(1), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("requests", BIG, nullable=False),
    Column("tokens", BIG, nullable=False),
    Column("spend_nano", BIG, nullable=False),
    Index(None, "kind", "number", "scope"),
    sqlite_with_rowid=False,
)
"""Sums of a scope ("user:<id>") over a UTC day ('d', days since the epoch) or month ('m', year * 12 + month - 1)."""

usage_hours = Table(
    "usage_hours",
    METADATA,
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("user_id", KEY, primary_key=True),
    Column("provider", KEY, primary_key=True),
    Column("model", KEY, primary_key=True),
    Column("requests", BIG, nullable=False),
    Column("failed", BIG, nullable=False),
    Column("input_tokens", BIG, nullable=False),
    Column("output_tokens", BIG, nullable=False),
    Column("cache_read_tokens", BIG, nullable=False),
    Column("cache_write_tokens", BIG, nullable=False),
    Column("reasoning_tokens", BIG, nullable=False),
    Column("cost_nano", BIG, nullable=False),
    Index(None, "user_id", "hour"),
    sqlite_with_rowid=False,
)
"""The roll-up that dashboards read. `hour` counts UTC hours since the epoch."""

settings = Table(
    "settings",
    METADATA,
    Column("name", KEY, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, outside METADATA: written here only when a fresh database is made."""


def upsert(table: Table, update: str) -> TextClause:
    """An insert of a whole row that, when the primary key exists, applies `update` to every other column instead.

    `update` is SQL with the placeholders {table} and {column}; `excluded` is the new row. SQLite and PostgreSQL share
    this sentence; SQLAlchemy has it once per dialect, and importing both would slow the start down.
    """
    keys = [column.name for column in table.primary_key]
    names = [column.name for column in table.columns]
    changes = [f"{name} = {update.format(table=table.name, column=name)}" for name in names if name not in keys]
    return text(
        f"INSERT INTO {table.name} ({_list(names)}) VALUES ({_list([f':{name}' for name in names])}) "  # noqa: S608 - names of our own tables
        f"ON CONFLICT ({_list(keys)}) DO UPDATE SET {_list(changes)}"
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
