"""What operators are told without having asked, and how far it has come to them."""

from typing import Any

import msgspec

from dominion.domain.allowances import ScopeLimits
from dominion.domain.records import Totals


class Notice(msgspec.Struct, frozen=True):
    """One message. `at` is epoch milliseconds, `text` a sentence for people, `data` JSON values.

    Whoever receives it may get it more than once, always with the same `id`.
    """

    id: str
    kind: str
    at: int
    text: str
    data: dict[str, Any]


class Delivery(msgspec.Struct, frozen=True):
    """How far a notice has come on one channel. Times are epoch milliseconds.

    `tries` counts those begun; `next_at` None: there will be no other; `delivered_at` None: not delivered (yet).
    """

    channel: str
    tries: int = 0
    next_at: int | None = None
    delivered_at: int | None = None
    error: str = ""


class Level(msgspec.Struct, frozen=True):
    """What is used of one window of a scope (see `allowances`), and what its limits are."""

    scope: str
    kind: str
    number: int
    used: Totals
    limits: ScopeLimits
