"""What differs where the database is PostgreSQL."""
