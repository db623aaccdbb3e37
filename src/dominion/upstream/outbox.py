"""Writes of one turn of the event loop, made together at its end.

A write to a socket wakes whoever reads it, and throws this program's working set out of the caches. Thirty writes in a
row cost a third less than thirty with a request's work between each two (docs/decisions/0017).
"""

import asyncio
from collections.abc import Callable

Write = Callable[[bytes], None]


class Outbox:
    """Of one event loop. Writes of one connection leave in the order in which they were put in."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[Write, bytes]] = []

    def put(self, write: Write, data: bytes) -> None:
        """Call `write(data)` when this turn's work is done, after everything that was put in before. It must not
        raise."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append((write, data))

    def flush(self) -> None:
        """Make the writes now."""
        waiting, self._waiting = self._waiting, []
        for write, data in waiting:
            write(data)
