"""The tables of the database of record; holds no statements."""
