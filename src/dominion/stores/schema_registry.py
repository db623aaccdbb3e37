"""The tables of registered providers, their credentials and the audit log; see `schema` for units."""
