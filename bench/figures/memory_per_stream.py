"""Figure 6: memory of an open stream, and what is left behind when half of them are cut off by their callers."""

import asyncio
import time
from dataclasses import dataclass

import uvloop

from bench.accounting import memory, open_files
from bench.estimate import interval
from bench.request import completion_body, request_bytes
from bench.row import Row, VoidError
from bench.setting import Setting
from bench.sse_client import Crowd
from bench.target import Target

_PACE_MS = 1000
_OPENED_PER_S = 1000
_WARM_UP, _WARM_UP_EVENTS = 64, 16
_LIMIT_S = 30.0
_REST_S = 1.0


@dataclass(frozen=True)
class Held:
    """PSS in bytes before, with all streams open, and after; milliseconds until the mock saw aborts; leaked files."""

    streams: int
    before: int
    held: int
    after: int
    abort_ms: float
    leaked: int

    @property
    def per_stream(self) -> float:
        """KiB of one open stream."""
        return (self.held - self.before) / self.streams / 1024

    def __str__(self) -> str:
        """All of it, for people."""
        return (
            f"{self.per_stream:.1f} KiB each, PSS {self.before / 2**20:.1f} -> {self.held / 2**20:.1f} -> "
            f"{self.after / 2**20:.1f} MiB (after/before {self.after / self.before:.2f}), "
            f"half aborted: upstream closed in {self.abort_ms:.0f} ms, {self.leaked} files leaked"
        )


def measure(setting: Setting) -> list[Row]:
    """From none to all streams open, one event per second each; then half are hung up on, the others run on."""
    found = {}
    for target in (target for target in setting.targets if target.name != "control"):
        with setting.watched(target.name) as answered:
            found[target.name] = uvloop.run(_held(setting, target))
            answered(_WARM_UP + setting.plan.open_streams)
    kib = {name: held.per_stream for name, held in found.items()}
    leaked = [f"{name}: {held.leaked} files leaked" for name, held in found.items() if held.leaked > 0]
    return [
        Row(
            "6",
            f"memory per open stream ({setting.plan.open_streams:,} open)",
            ratio=interval([kib["gateway"] / kib["nginx"]]) if "gateway" in kib else None,
            facts="; ".join(f"{name} {held}" for name, held in found.items()),
            void="; ".join(leaked),
        )
    ]


async def _held(setting: Setting, target: Target) -> Held:
    plan, streams = setting.plan, setting.plan.open_streams
    await _crowd(target, events=_WARM_UP_EVENTS, pace_ms=1).run(_WARM_UP, 0.5)
    await _rest(setting)
    before, files = memory(target.pid).pss, open_files(target.pid)
    opening = streams / _OPENED_PER_S
    crowd = _crowd(target, events=int(opening) + plan.hold_s + 4, pace_ms=_PACE_MS)
    await crowd.open(streams, opening)
    await asyncio.sleep(plan.hold_s)
    held = memory(target.pid).pss
    if (crowd.tally.running, crowd.tally.ok, setting.mock.counts().streaming) != (streams, streams, streams):
        raise VoidError(f"{target.name}: {crowd.tally.running} of {streams} streams open; {crowd.tally.failed[:3]}")
    start = time.monotonic()
    crowd.abort(streams // 2)
    await _until_streaming(setting, streams - streams // 2)
    abort_ms = (time.monotonic() - start) * 1000
    tally = await crowd.finish()
    if tally.complete != streams - streams // 2:
        raise VoidError(
            f"{target.name}: {tally.complete} of {streams - streams // 2} streams ended well; {tally.failed[:3]}"
        )
    await _rest(setting)
    return Held(streams, before, held, memory(target.pid).pss, abort_ms, open_files(target.pid) - files)


def _crowd(target: Target, *, events: int, pace_ms: int) -> Crowd:
    body = completion_body(events=events, pace_ms=pace_ms)
    return Crowd(target.stream_port, request_bytes(target.stream_port, target.key, body))


async def _rest(setting: Setting) -> None:
    """Until no stream runs and no connection is kept alive, so that every file still open is one that leaked."""
    await _until_streaming(setting, 0)
    setting.mock.close_idle()
    await asyncio.sleep(_REST_S)


async def _until_streaming(setting: Setting, most: int) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while setting.mock.counts().streaming > most:  # noqa: ASYNC110 -- the mock is another process
            await asyncio.sleep(0.005)
