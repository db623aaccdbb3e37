"""Backups of the database, and back again."""
