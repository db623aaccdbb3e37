"""Which thresholds of its limits a scope has reached, and when a notice that was not taken is tried again. Pure.

It knows nothing of what was told before: each crossing has a name of its own, and who keeps the names tells each once.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from dominion.domain.alerts import Level
from dominion.domain.usage import usd
from dominion.rules.windows import SECONDS_A_DAY, day_end, first_day, iso, iso_day, month_end

SUMS = {
    "daily_requests": ("d", "requests", "requests a day"),
    "daily_tokens": ("d", "tokens", "tokens a day"),
    "daily_spend_nano": ("d", "spend_nano", "daily spend"),
    "monthly_spend_nano": ("m", "spend_nano", "monthly spend"),
    "soft_run_tokens": ("r", "tokens", "soft cap of tokens"),
    "hard_run_tokens": ("r", "tokens", "hard cap of tokens"),
}
"""Limits that are used up: the window that is looked at, which of its sums, and how people call it."""
FIRST_PAUSE, LONGEST_PAUSE = 1, 3600
"""Seconds."""
MOST_TRIES = 60
"""Some two days, as the pauses double from one second to an hour."""


class Crossing(msgspec.Struct, frozen=True):
    """A threshold that was reached. `limit` is a field of `ScopeLimits`, `allowed` its value, `used` the sum."""

    scope: str
    kind: str
    number: int
    limit: str
    percent: int
    allowed: int
    used: int

    @property
    def name(self) -> str:
        """The same for the same threshold of the same limit in the same window, and never for another."""
        return f"{self.kind} {self.number} {self.limit} {self.allowed} {self.percent} {self.scope}"


def crossed(level: Level) -> Iterator[Crossing]:
    """Every threshold that is reached. A limit of zero has none: nothing can be used of it."""
    for limit, (kind, of, _) in SUMS.items():
        allowed, used = getattr(level.limits, limit), getattr(level.used, of)
        if kind == level.kind and allowed:
            for percent in level.limits.alerts:
                if used * 100 >= percent * allowed:
                    yield Crossing(level.scope, kind, level.number, limit, percent, allowed, used)


def sentence(crossing: Crossing) -> str:
    """What happened, for people."""
    _, _, name = SUMS[crossing.limit]
    used, allowed = (_shown(crossing, value) for value in (crossing.used, crossing.allowed))
    unit = " US dollars" if _is_money(crossing) else ""
    return (
        f"{crossing.scope.replace(':', ' ', 1)} has reached {crossing.percent} % of its {name}: "
        f"{used} of {allowed}{unit}{_resets(crossing)[0]}."
    )


def data(crossing: Crossing) -> dict[str, Any]:
    """The same for programs; money as decimal strings of US dollars, named as `dominion budgets` names limits."""
    money = _is_money(crossing)
    return {
        "scope": crossing.scope,
        "limit": crossing.limit.replace("_nano", "_cap_usd"),
        "percent": crossing.percent,
        "used": usd(crossing.used) if money else crossing.used,
        "allowed": usd(crossing.allowed) if money else crossing.allowed,
        "window": _window(crossing),
        "resets_at": _resets(crossing)[1],
    }


def pause_before_next(tries: int) -> int | None:
    """Seconds until a notice that was not taken after so many tries is tried again; None: given up."""
    if tries >= MOST_TRIES:
        return None
    return min(FIRST_PAUSE << (tries - 1), LONGEST_PAUSE)


def _is_money(crossing: Crossing) -> bool:
    return crossing.limit.endswith("_nano")


def _shown(crossing: Crossing, value: int) -> str:
    return usd(value, 2) if _is_money(crossing) else str(value)


def _window(crossing: Crossing) -> str:
    match crossing.kind:
        case "d":
            return iso_day(crossing.number)
        case "m":
            return iso(first_day(crossing.number) * SECONDS_A_DAY)[:7]
        case _:
            return "run"


def _resets(crossing: Crossing) -> tuple[str, str | None]:
    """In a sentence, and as a time; runs never begin anew."""
    if crossing.kind == "r":
        return "", None
    at = iso(day_end(crossing.number) if crossing.kind == "d" else month_end(crossing.number))
    return f"; it begins anew at {at}", at
