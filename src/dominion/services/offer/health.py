"""Is the gateway alive, and can it answer? Cheap enough to be asked every second: probes are remembered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dominion.domain.contracts import Clock
from dominion.domain.errors import DominionError, ShuttingDown, StorageUnavailable
from dominion.domain.providers import Origin, Slot
from dominion.services.offer.lineup import Lineup

REMEMBERED = 10.0
"""Seconds a probe's answer holds."""


class Health:
    """Asks the database and the providers' origins whether they are there.

    `ping` raises StorageUnavailable; `reach` opens a connection to an origin and raises a ProviderError.
    """

    def __init__(
        self,
        lineup: Lineup,
        ping: Callable[[], Awaitable[None]],
        reach: Callable[[Origin], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._lineup = lineup
        self._ping = ping
        self._reach = reach
        self._clock = clock
        self._known: dict[Origin, tuple[float, str]] = {}
        self._probing = asyncio.Lock()
        self.draining = False

    async def alive(self) -> dict[str, Any]:
        """The process runs its loop."""
        return {"status": "ok"}

    async def ready(self) -> dict[str, Any]:
        """What works. Raises ShuttingDown or StorageUnavailable (also when no provider can be reached)."""
        if self.draining:
            raise ShuttingDown("The gateway is shutting down.")
        async with self._probing:
            await self._ping()
            slots = self._lineup.slots
            states = await asyncio.gather(*[self._state(slot) for slot in slots])
        providers = {slot.row.id: state for slot, state in zip(slots, states, strict=True)}
        if "ok" not in states:
            raise StorageUnavailable(f"No provider can be reached: {', '.join(providers)}.")
        return {"status": "ready", "database": "ok", "providers": providers}

    async def _state(self, slot: Slot) -> str:
        if slot.row.wire == "openai_chat" and slot.target.origin.scheme == "stub":
            return "ok"
        now = self._clock.monotonic()
        asked, state = self._known.get(slot.target.origin, (-REMEMBERED, ""))
        if now - asked >= REMEMBERED:
            try:
                await self._reach(slot.target.origin)
                state = "ok"
            except DominionError as error:
                state = error.code
            self._known[slot.target.origin] = (now, state)
        return state
