"""Where requests of one scope wait, one by one, for more to be leased, and how a refusal holds for a moment."""

import asyncio

from dominion.domain.allowances import NOTHING, Amount, Want
from dominion.domain.errors import LimitExceeded
from dominion.rules.limits.shares import counted

REFUSED = 0.1
"""Seconds for which a refusal holds for whoever needs as much, so that a flood of them does not reach the database."""


class ShortError(Exception):
    """More must be leased before the verdict: `wants`, for the answer that was asked for. `least` is what the shortest
    answer needs. Only `Admission.hold` lets it through."""

    def __init__(self, wants: list[Want], least: Amount) -> None:
        super().__init__()
        self.wants = wants
        self.least = least


class Gate:
    """Requests of one scope that wait for a lease. `refused`: until when the last refusal holds, monotonic seconds."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0
        self.refused = float("-inf")
        self._why: LimitExceeded | None = None
        self._least = NOTHING

    def refuse(self, why: LimitExceeded, least: Amount, now: float) -> None:
        """Keep a refusal that the database has confirmed, of a request that needed `least`."""
        self.refused, self._why, self._least = now + REFUSED, why, least

    def refuses(self, short: ShortError, arrived: float) -> bool:
        """Whether the last refusal holds for a request that came then: it needs as much of what was used up."""
        why = self._why
        if arrived >= self.refused or why is None:
            return False
        used_up, name = counted(why.kind)
        for scope, kind, _ in (want.window for want in short.wants):
            if kind == used_up and (scope == why.scope or (not why.scope and scope.startswith("user:"))):
                return bool(getattr(short.least, name) >= getattr(self._least, name))
        return not used_up  # a rate has nothing to do with what the request needs

    def reason(self, local: LimitExceeded) -> LimitExceeded:
        """The refusal as it was, not `local`: what this process has at the moment says little about the limits. Only of
        rates, which are not leased, it says all."""
        why = self._why
        if why is None or "" in counted(local.kind) or "" in counted(why.kind):
            return local
        error = type(why)(
            why.message,
            kind=why.kind,
            limit=why.limit,
            used=why.used,
            resets_at=why.resets_at,
            retry_after=why.retry_after or 0.0,
            action=why.action,
        )
        error.scope = why.scope
        return error
