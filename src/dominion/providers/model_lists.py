"""Where a provider lists its models, by where its completions are. Asks nobody."""

from dominion.domain.providers import Target

_ENDS = (
    (b"/deployments/{model}/chat/completions", b"/models"),
    (b"/compatibility/v1/chat/completions", b"/v1/models"),
    (b"/models/{model}:generateContent", b"/models"),
    (b"/chat/completions", b"/models"),
    (b"/completions", b"/models"),
    (b"/responses", b"/models"),
    (b"/messages", b"/models"),
    (b"/api/chat", b"/api/tags"),
)
"""How the address of completions ends, and that of the list instead. Cohere's is not beside its compatible API."""


def list_of_models(target: Target) -> Target | None:
    """The question for the list, with the same credential; None: there is no list that we know of."""
    for ends, instead in _ENDS:
        there = target.ending(ends, instead)
        if there is not None:
            return Target(there.origin, b"GET" + there.head.removeprefix(b"POST"))
    return None
