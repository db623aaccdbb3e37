"""Commands of whoever has a key."""
