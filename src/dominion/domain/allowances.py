"""Limits of more scopes than users, and the allowances that processes lease of them.

A scope is a text: "user:ID", "key:ID", "provider:ID", "customer:LABEL" or "run:LABEL"; the limits of "run:*" hold for
each run alone. A window is a scope with a kind and a number: 'd' a UTC day (days since the epoch), 'm' a month (year *
12 + month - 1), 'r' a run (0) and 'c' what runs at the same time (0).
"""

from collections.abc import Iterator

import msgspec

from dominion.domain.people import Limits

WindowKey = tuple[str, str, int]
"""Scope, kind and number."""
ALERTS = (50, 80, 100)
"""Percent of a limit at which somebody should hear of it, where nothing else is said."""
EVERY_RUN = "run:*"


class ScopeLimits(Limits, frozen=True):
    """The limits of one scope; None lifts a limit. Spend in nano-dollars.

    The token caps are for runs: above `soft_run_tokens` answers carry a warning, above `hard_run_tokens` nothing runs.
    `alerts` are percentages of any of the limits.
    """

    daily_spend_nano: int | None = None
    soft_run_tokens: int | None = None
    hard_run_tokens: int | None = None
    alerts: tuple[int, ...] = ALERTS


class Amount(msgspec.Struct, frozen=True):
    """Requests (or places, in windows of the kind 'c'), tokens and nano-dollars."""

    requests: int = 0
    tokens: int = 0
    spend_nano: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.requests + other.requests, self.tokens + other.tokens, self.spend_nano + other.spend_nano)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.requests - other.requests, self.tokens - other.tokens, self.spend_nano - other.spend_nano)

    def __bool__(self) -> bool:
        return bool(self.requests or self.tokens or self.spend_nano)

    def covers(self, other: "Amount") -> bool:
        """Whether there is as much of each as in the other."""
        return self.atleast(other) == self

    def atleast(self, floor: "Amount") -> "Amount":
        """The larger of both, each for itself."""
        return Amount(
            max(self.requests, floor.requests), max(self.tokens, floor.tokens), max(self.spend_nano, floor.spend_nano)
        )

    def atmost(self, ceiling: "Amount") -> "Amount":
        """The smaller of both, each for itself."""
        return Amount(
            min(self.requests, ceiling.requests),
            min(self.tokens, ceiling.tokens),
            min(self.spend_nano, ceiling.spend_nano),
        )


NOTHING = Amount()


class Want(msgspec.Struct, frozen=True):
    """What a process asks for of one window: `need` at least, more where plenty is left.

    `limit` is the limit of all processes together. `partly`: less than the need is welcome, too.
    """

    window: WindowKey
    limit: Amount
    need: Amount
    partly: bool = False


class Taken(msgspec.Struct, frozen=True):
    """The answer to a `Want`. `more` is granted from now on; `used` is what is settled and what is leased to anybody
    now. `asked`: others hold some of it and were asked to return what they do not use."""

    more: Amount
    used: Amount
    asked: bool


class Report(msgspec.Struct, frozen=True):
    """What a process says of one of its leases. `granted` what it keeps of all that it was ever granted of it, `used`
    what of that is settled (posted or not) or held."""

    window: WindowKey
    granted: Amount
    used: Amount


class Peer(msgspec.Struct, frozen=True):
    """A process that leases. `beat` grows with each of its reports; `life` counts its starts."""

    process: str
    life: int
    beat: int
    lost: bool


def scopes_of(user_id: str, key_id: str, provider: str, customer: str, run: str) -> Iterator[str]:
    """The scopes of a request; what is empty has none."""
    yield f"user:{user_id}"
    if key_id:
        yield f"key:{key_id}"
    if provider:
        yield f"provider:{provider}"
    if customer:
        yield f"customer:{customer}"
    if run:
        yield f"run:{run}"
