"""Doors: how callers reach the services. The only place that knows status numbers."""
