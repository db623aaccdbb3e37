"""Rotates and retires sealing keys, beside a running gateway or without one. Each change leaves an audit entry.

Everything here raises ConfigProblem and StorageUnavailable.
"""

from typing import NamedTuple

from dominion.app.beside.opening import Beside, beside
from dominion.app.world import SystemClock
from dominion.config import Settings
from dominion.credentials.sealing import Sealer
from dominion.domain.errors import Conflict
from dominion.services.registry import resealing
from dominion.stores.sealing import keys as sealing
from dominion.stores.sealing.keys import KeyRing
from dominion.stores.sql.registry import SqlRegistry


class Sealed(NamedTuple):
    """What stands after a change: the version that seals, those that open, and what happened to the credentials."""

    current: int
    versions: list[int]
    credentials: resealing.Resealed


async def rotate(settings: Settings) -> Sealed:
    """Add a version, and seal every credential anew with it. Raises Conflict when somebody else does the same."""
    async with beside(settings) as opened:
        ring = sealing.rotate(opened.place)
        await _note(opened, ring, "sealing_key_rotated")
        return await _reseal(opened, ring)


async def reseal(settings: Settings) -> Sealed:
    """Seal anew what is not under the newest version: the keys were changed elsewhere, or a rotation broke off."""
    async with beside(settings) as opened:
        return await _reseal(opened, opened.ring)


async def retire(settings: Settings) -> Sealed:
    """Forget versions that nothing is sealed with. Raises Conflict while a credential is."""
    async with beside(settings) as opened:
        found = await _reseal(opened, opened.ring)
        if found.credentials.left:
            raise Conflict(
                f"Credentials that are sealed with an older version, do not open: {found.credentials.left}.",
                action="Enter them again, or remove them; then retire the older versions.",
            )
        ring = sealing.retire(opened.place)
        await _note(opened, ring, "sealing_key_retired")
        return Sealed(ring.current, sorted(ring.versions), found.credentials)


async def _reseal(opened: Beside, ring: KeyRing) -> Sealed:
    done = await resealing.reseal(SqlRegistry(opened.database), Sealer(ring.versions, ring.current))
    return Sealed(ring.current, sorted(ring.versions), done)


async def _note(opened: Beside, ring: KeyRing, action: str) -> None:
    at, after = int(SystemClock.now() * 1000), {"current": ring.current, "versions": sorted(ring.versions)}
    await opened.audit.append(at, "cli", action, "sealing", None, after, "")
