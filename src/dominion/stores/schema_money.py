"""The tables of attempts, dated prices and alerts; see `schema` for units."""
