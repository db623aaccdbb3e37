"""Signing in to providers whose credentials age: tokens renewed once for all who wait. Never logs or shows a token."""
