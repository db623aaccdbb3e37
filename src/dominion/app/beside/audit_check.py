"""Checks the audit log from its first entry to its last, a page at a time; changes nothing."""

from collections.abc import Iterable
from typing import NamedTuple

from dominion.app.beside.opening import beside
from dominion.config import Settings
from dominion.rules.audit_chain import Anchor, Chain, Fault

PAGE = 1000
MOST_SHOWN = 100
"""Faults that are kept; a log that was written anew has one for each entry."""


class Checked(NamedTuple):
    """What was found: the head of the log as it stands, how many faults, and the first of them."""

    head: Anchor
    wrong: int
    faults: list[Fault]


async def check_audit_log(settings: Settings, anchors: Iterable[Anchor]) -> Checked:
    """Read the whole log, which every anchor must fit. Raises ConfigProblem or StorageUnavailable."""
    async with beside(settings) as opened:
        chain, after, wrong, kept = Chain(opened.audit_key, anchors), 0, 0, list[Fault]()
        while True:
            page = await opened.audit.entries(after=after, limit=PAGE)
            faults = chain.take(page) if page else chain.end()
            wrong += len(faults)
            kept += faults[: MOST_SHOWN - len(kept)]
            if not page:
                return Checked(chain.head, wrong, kept)
            after = page[-1].number
