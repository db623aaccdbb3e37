"""The promises of documents 002 and 003 about budgets that tests prove: number and words, for requirements.py."""

BUDGETS: tuple[tuple[str, str], ...] = (
    ("002-044", "Spend has limits."),
    ("002-045", "And somebody hears of it before they are reached."),
    ("003-134", "A budget belongs to one provider."),
    ("003-135", "It may cap the US dollars of a day."),
    ("003-136", "And those of a month."),
    ("003-137", "A run may have a soft cap of tokens, above which its answers carry a warning."),
    ("003-138", "And a hard one, above which it is refused."),
    ("003-139", "A budget says at which percentages somebody should hear of it."),
    ("003-196", "A changed budget is in the audit log."),
    ("003-206", "A test of the whole proves that budgets hold."),
)
