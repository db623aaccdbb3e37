"""The head of the audit log is told again and again, each head once, and a database that is away ends nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from dominion.domain.errors import StorageUnavailable
from dominion.rules.audit_chain import Anchor, Chain, anchors_in
from dominion.services.notices.audit_anchors import KIND, AuditAnchors
from dominion.stores.memory.registry import MemoryAudit

KEY = b"k" * 32


class Told:
    """Notices as they come, each `once` a single time."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.texts: list[str] = []
        self._seen: set[str] = set()

    async def send(self, kind: str, text: str, data: Mapping[str, Any], *, once: str = "") -> str | None:
        if once in self._seen:
            return None
        self._seen.add(once)
        assert once == f"{data['number']}:{data['hash']}"
        self.kinds.append(kind)
        self.texts.append(text)
        return "ntc_1"


class Hours:
    """Sleeps that a test ends, one by one."""

    def __init__(self) -> None:
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self._gate = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.slept.put_nowait(seconds)
        await self._gate.acquire()

    async def over(self) -> None:
        """Return when the next sleep after this one has begun."""
        self._gate.release()
        await self.slept.get()


async def add(audit: MemoryAudit, number: int) -> None:
    await audit.append(number, "admin", "provider_enabled", "provider:p", None, {"n": number}, "")


async def test_each_head_is_told_once_and_fits_the_log_it_was_taken_of() -> None:
    failing: list[StorageUnavailable] = []

    def before() -> None:
        if failing:
            raise failing.pop()

    audit, told, hours = MemoryAudit(KEY, before), Told(), Hours()
    watching = asyncio.create_task(AuditAnchors(audit, told, 3600).watch(hours.sleep))
    assert await hours.slept.get() == 3600
    assert told.texts == []  # there is no entry yet
    for number in range(3):
        await add(audit, number)
    await hours.over()
    await hours.over()
    await add(audit, 3)
    failing.append(StorageUnavailable("The database is away."))
    await hours.over()
    assert len(told.texts) == 1
    await hours.over()
    watching.cancel()
    entries = await audit.entries()
    assert told.kinds == [KIND] * 2
    anchors = [anchor for text in told.texts for anchor in anchors_in(text)]
    assert anchors == [Anchor(3, entries[2].hash), Anchor(4, entries[3].hash)]
    chain = Chain(KEY, anchors)
    assert chain.take(entries) + chain.end() == []
    cut = Chain(KEY, anchors)
    assert [fault.number for fault in cut.take(entries[:3]) + cut.end()] == [4]


@pytest.mark.parametrize("text", ["", "12:abc", f"x7:{'a' * 64}", f"7:{'a' * 65}", f"0:{'a' * 64}", f"1:7:{'a' * 64}"])
def test_what_is_no_anchor_is_none(text: str) -> None:
    assert list(anchors_in(text)) == []


def test_anchors_are_found_wherever_they_stand() -> None:
    first, second = Anchor(7, b"a" * 32), Anchor(123_456, b"b" * 32)
    text = f'2026-11-21 WARNING x The audit log\'s anchor is {first}. (k i)\n{{"text": "is {second}."}}'
    assert list(anchors_in(text)) == [first, second]
