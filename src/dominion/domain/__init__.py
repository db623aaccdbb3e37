"""Nouns, contracts and errors. Imports the standard library and msgspec only."""
