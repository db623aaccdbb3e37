"""The promises of documents 002 and 003 that no test proves yet, and why: first and last number, and the reason."""

_CAP_N_WEB = "Cap'n Web, MCP and the in-process binding come with a later issue."
_STRIPE = "Stripe, billing records for it and invoices come with a later issue."
_CACHE = "The answer cache comes with a later issue."
_SCREENS = "Screens come with a later issue; the commands and /admin do what they would."

LATER: tuple[tuple[str, str, str], ...] = (
    ("002-002", "002-002", _STRIPE),
    (
        "002-004",
        "002-004",
        "Routing and rate limits are there; caching is not: the answer cache comes with a later issue.",
    ),
    ("002-006", "002-016", _CAP_N_WEB),
    ("002-021", "002-021", _CAP_N_WEB),
    ("002-039", "002-039", _SCREENS),
    ("002-040", "002-040", _STRIPE),
    ("002-042", "002-043", _STRIPE),
    ("002-051", "002-051", _CACHE),
    ("002-061", "002-061", _CACHE),
    ("002-066", "002-066", "There is no RPC package to depend on before Cap'n Web is there."),
    (
        "003-004",
        "003-004",
        "By the configuration file and without a rebuild it is true; the screen comes with a later issue.",
    ),
    ("003-103", "003-103", _SCREENS),
    ("003-105", "003-111", _SCREENS),
    ("003-117", "003-130", _SCREENS),
    ("003-133", "003-133", _SCREENS),
    ("003-140", "003-143", _SCREENS),
    ("003-176", "003-178", _SCREENS),
    ("003-212", "003-213", _SCREENS),
    ("003-218", "003-218", _SCREENS),
    ("003-227", "003-227", "The catalogue lists who can be added; a marketplace comes with the screens."),
    ("003-232", "003-232", "It is about real providers over weeks; nothing that can be run here would prove it."),
)
