"""How long and how much a provider may take, and what the upstream client counts; holds values, never acts on them."""

import msgspec


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, each above zero. They fire late by at most a quarter of the shortest, and never by more than 1 s.

    `connect` covers the wait for a free connection, the name lookup, TCP, the proxy and TLS. `first_byte` runs from the
    written request to the end of the answer's head, so a head that trickles in does not stretch it. `idle` is the
    longest silence inside a body, `total` the longest exchange from the call of `send` to the last byte. `keep_alive`
    is how long an unused connection is kept; servers close theirs after 60 s or more, uvicorn after 5 s.
    """

    connect: float = 10.0
    first_byte: float = 300.0
    idle: float = 120.0
    total: float = 900.0
    keep_alive: float = 30.0


class Ceilings(msgspec.Struct, frozen=True, kw_only=True):
    """The most that is taken from one provider.

    `header_bytes` bounds a head, and also whatever else comes between two pieces of body (chunk extensions, trailers).
    `interim` bounds 1xx answers before the real one. `buffered` is how many bytes of body may lie unread before the
    socket is paused. `inflation` is the largest ratio of a compressed body once `inflated_free` bytes have come out.
    `connections` is per origin; requests above it wait for `Timeouts.connect`.
    """

    connections: int = 10_000
    header_bytes: int = 64 * 1024
    header_count: int = 200
    interim: int = 8
    buffered: int = 64 * 1024
    inflation: int = 100
    inflated_free: int = 1024 * 1024


class Counters:
    """Totals since the start. `retried`: exchanges sent again because a kept connection had died unnoticed."""

    __slots__ = ("opened", "retried", "reused")

    def __init__(self) -> None:
        self.opened = 0
        self.reused = 0
        self.retried = 0
