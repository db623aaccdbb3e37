"""What the workers of a gateway have counted, together, so that any of them can be asked for all.

Each publishes its figures now and then and reads the others' when it is asked. What a dead worker counted stays
counted: its successor goes on from what it published last. A figure may be as old as EVERY says; no limit goes by it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Protocol

import msgspec

from dominion.domain.errors import StorageUnavailable
from dominion.services.figures.counters import Counters

LOG = logging.getLogger("dominion.figures")
EVERY = 1.0
"""Seconds between two publications."""
_STATES = ("closed", "half-open", "open")
_UNKNOWN_STATE: Mapping[str, Any] = {"state": "closed", "tried_again_in_seconds": 0.0, "usual_ms": {}}


class Figures(msgspec.Struct):
    """`counts` are those of Counters by their names, `providers` what the router shows. Gauges add up, too."""

    counts: dict[str, Any]
    gauges: dict[str, float]
    providers: dict[str, dict[str, Any]]

    def counters(self) -> Counters:
        """The counts, as their page reads them."""
        counters = Counters()
        vars(counters).update(self.counts)
        return counters


class Board(Protocol):
    """Where the workers of a gateway publish."""

    def publish(self, figures: bytes) -> None:
        """Replace what this worker has published. Raises StorageUnavailable."""

    def predecessor(self) -> bytes | None:
        """What the worker before this one, in the same place, published last."""

    def others(self) -> list[bytes]:
        """What every other place published last."""


class Together:
    """The figures of this process and of all others. `board` is None when it is the only one."""

    def __init__(
        self,
        counters: Counters,
        gauges: Callable[[], Mapping[str, float]],
        providers: Callable[[], Mapping[str, dict[str, Any]]],
        board: Board | None,
    ) -> None:
        self._counters = counters
        self._gauges = gauges
        self._providers = providers
        self._board = board
        before = board and board.predecessor()
        self._before = _from_then_on(_decoded(before)) if before else None

    def all(self) -> Figures:
        """Of all processes, as far as they have published them."""
        others = self._board.others() if self._board is not None else []
        return reduce(added, map(_decoded, others), self._own())

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """What all routers know of each provider: the worst state, the newest failure, the longest usual time."""
        return self.all().providers

    async def publish(self) -> None:
        """Let the others know; nothing when there are none, and nothing when the disk refuses it."""
        if self._board is None:
            return
        try:
            await asyncio.to_thread(self._board.publish, msgspec.msgpack.encode(self._own()))
        except StorageUnavailable as error:
            LOG.warning("the figures of this worker were not published: %s", error.message)

    async def publish_always(self) -> None:
        """Again and again, until cancelled."""
        while self._board is not None:
            await self.publish()
            await asyncio.sleep(EVERY)

    def _own(self) -> Figures:
        providers = {slot: dict(known) for slot, known in self._providers().items()}
        own = Figures(vars(self._counters), {name: float(value) for name, value in self._gauges().items()}, providers)
        return own if self._before is None else added(self._before, own)


def added(one: Figures, other: Figures) -> Figures:
    """Both together."""
    return Figures(
        _sum(one.counts, other.counts),
        _sum(one.gauges, other.gauges),
        _by_key(one.providers, other.providers, _provider),
    )


def _provider(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return _sum(one, other) | {
        "state": max(one["state"], other["state"], key=_STATES.index),
        "tried_again_in_seconds": max(one["tried_again_in_seconds"], other["tried_again_in_seconds"]),
        "last_failure": max(one["last_failure"], other["last_failure"], key=lambda each: each["at"] if each else 0),
        "usual_ms": _by_key(one["usual_ms"], other["usual_ms"], max),
    }


def _sum(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> dict[Any, Any]:
    return _by_key(one, other, _sum_of)


def _sum_of(one: Any, other: Any) -> Any:
    """Numbers add up, tables key by key, lists place by place; of anything else the second one stands."""
    if isinstance(one, Mapping):
        return _sum(one, other)
    if isinstance(one, list):
        return [_sum_of(*each) for each in zip(one, other, strict=True)]
    return one + other if isinstance(one, int | float) else other


def _by_key(one: Mapping[Any, Any], other: Mapping[Any, Any], add: Callable[[Any, Any], Any]) -> dict[Any, Any]:
    return {**one, **other, **{key: add(one[key], other[key]) for key in one.keys() & other.keys()}}


def _from_then_on(figures: Figures) -> Figures:
    """What a successor counts on from: sums, and nothing that was so only then."""
    providers = {slot: {**known, **_UNKNOWN_STATE} for slot, known in figures.providers.items()}
    return Figures(figures.counts, {}, providers)


def _decoded(published: bytes) -> Figures:
    return msgspec.msgpack.decode(published, type=Figures)
