"""Keeps callers' own keys in step with the files that the operator mounts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from dominion.services.registry.own_keys import OwnKeys

LOG = logging.getLogger("dominion.own_keys")
EVERY = 1.0
"""Seconds until a changed file counts."""


class Folder(Protocol):
    """Where the files are."""

    def read(self) -> dict[tuple[str, str], str]:
        """The keys by user and provider, "": there is a file that cannot be used. Blocks. Raises OSError."""


class KeyFiles:
    """The files of a folder, None: there is none."""

    def __init__(self, folder: Folder | None, keys: OwnKeys) -> None:
        self._folder = folder
        self._keys = keys
        self._failing = False

    async def refresh(self) -> None:
        """What the files hold counts from now on; when the folder cannot be listed, what was read of it before."""
        if self._folder is None:
            return
        try:
            found = await asyncio.to_thread(self._folder.read)
        except OSError as error:
            if not self._failing:  # said once, not every second
                LOG.warning("the folder of callers' own keys cannot be read: %s", error.strerror)
            self._failing = True
            return
        self._failing = False
        self._keys.mount(found)

    async def watch(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Again and again, until cancelled."""
        while True:
            await sleep(EVERY)
            await self.refresh()
