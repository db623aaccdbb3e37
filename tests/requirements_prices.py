"""The promises of document 003 about prices and models that tests prove: number and words, for requirements.py."""

PRICES: tuple[tuple[str, str], ...] = (
    ("003-005", "Nobody starts without a ceiling of cost."),
    ("003-009", "What a request costs is told, by provider and model, before it is made."),
    ("003-083", "Prices come from a source that is kept up to date, and change while the gateway runs."),
    ("003-091", "So do Anthropic's."),
    ("003-095", "A model row says its context window, such as the example's 1,000,000."),
    ("003-096", "And its longest output, such as the example's 8,192."),
    ("003-098", "And the exact price of an input token, such as the example's 0.000000075."),
    ("003-099", "And that of an output token, such as the example's 0.000000300."),
    ("003-229", "Nobody makes a request without being able to know its cost first."),
)
