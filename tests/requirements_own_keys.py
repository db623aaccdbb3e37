"""The promises about callers' own keys and about secrets that tests prove: number and words, for requirements.py."""

OWN_KEYS: tuple[tuple[str, str], ...] = (
    ("002-020", "A request may bring the caller's own key at the provider."),
    ("002-046", "Customers' keys are stored sealed, in a vault of the gateway's own."),
    ("002-048", "A passed key is the one that the provider is asked with."),
    ("002-049", "What is asked with an own key is in the ledger, with its price by the list."),
    ("002-050", "And nothing of it is charged."),
    ("003-181", "Keys are never logged."),
    ("003-182", "They are in no metric and in no statistic."),
    ("003-183", "People see the last four characters of a key at most."),
)
