"""The stores in the database of record: SQLite or PostgreSQL, the same statements."""
