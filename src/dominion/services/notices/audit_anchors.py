"""Tells the head of the audit log outside of the database, again and again: what was told shows later that the end of
the log was cut off, or that somebody with the sealing key wrote it anew. Never changes the log.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from dominion.domain.errors import StorageUnavailable
from dominion.domain.stores import AuditStore
from dominion.rules.audit_chain import Anchor

LOG = logging.getLogger("dominion.audit")
KIND = "audit_anchor"


class Telling(Protocol):
    """Takes a notice to wherever the operator wants to be told; with the same `once` a single time ever."""

    async def send(self, kind: str, text: str, data: Mapping[str, Any], *, once: str = "") -> str | None:
        """Raises StorageUnavailable."""


class AuditAnchors:
    """`every` so many seconds; the same head is told once, by one of all processes."""

    def __init__(self, audit: AuditStore, notices: Telling, every: float) -> None:
        self._audit = audit
        self._notices = notices
        self._every = every

    async def watch(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Tell it until cancelled, the first time at once: what happened before the last end is told, too."""
        while True:
            try:
                await self.tell()
            except StorageUnavailable as error:
                LOG.warning("the head of the audit log is told later: %s", error.message)
            await sleep(self._every)

    async def tell(self) -> None:
        """Raises StorageUnavailable."""
        entry = await self._audit.newest()
        if entry is not None:
            anchor = Anchor(entry.number, entry.hash)
            data = {"number": anchor.number, "hash": anchor.hash.hex()}
            await self._notices.send(KIND, f"The audit log's anchor is {anchor}.", data, once=str(anchor))
