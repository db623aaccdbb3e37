"""The tables of limits beyond users' own, and of the allowances of several processes; see `schema` for units."""
