"""The promises of document 003 about errors and fallback that tests prove: number and words, for requirements.py."""

ROUTER: tuple[tuple[str, str], ...] = (
    ("003-157", "A refused key is an error of its own, with a message."),
    ("003-158", "So is a provider's rate limit, with the time to wait."),
    ("003-159", "So is a model that is away, with its name."),
    ("003-160", "So is a usage cap, with its kind."),
    ("003-161", "So is a broken network, with what broke."),
    ("003-162", "So is a timeout, with how long it was waited."),
    ("003-163", "So is an unexpected answer, with its status and its beginning."),
    ("003-169", "Fallback to other models can be switched on and off."),
    ("003-170", "Its order is a list of providers and models."),
    ("003-171", "How often an attempt is repeated is set."),
    ("003-172", "The wanted model is asked first."),
    ("003-173", "A rate limit is waited for, three times."),
    ("003-174", "Then another provider's model is asked."),
    ("003-175", "When all fail, the caller is told."),
    ("003-179", "Who wants it is always asked before another model answers."),
    ("003-197", "A fallback leaves an audit entry."),
    ("003-205", "Fallback is tested in the running program."),
    ("003-217", "Fallback exists."),
    ("003-220", "Rate limits are handled."),
    ("003-234", "Fallback works whatever the wanted provider fails with."),
)
