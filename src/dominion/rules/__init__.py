"""Decisions: pure synchronous functions from facts to a verdict. Never touches a store, a socket or a clock."""
