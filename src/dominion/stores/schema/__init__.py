"""The tables of the database of record; holds no statements. Whoever imports one part has all: METADATA must know every
table before a database is made."""

from dominion.stores.schema import analytics, changes, money, registry, standings, tables

__all__ = ["analytics", "changes", "money", "registry", "standings", "tables"]
