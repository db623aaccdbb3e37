"""Figure 5: CPU per event of a stream, as the slope between short and long streams: opening them does not count."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median

import uvloop

from bench.estimate import slope
from bench.request import completion_body, request_bytes
from bench.rounds import Job, Load, Sample, run_rounds
from bench.row import Row, VoidError, compare, waiting
from bench.setting import Setting
from bench.sse_client import Crowd, Tally
from bench.target import Target

SHORT, LONG, PACE_MS = 16, 528, 2
SHORT_CROWDS = 4
OPENING_S = 0.001
"""Between one stream and the next."""


def measure(setting: Setting) -> list[Row]:
    """Crowds of streams, one event each every 2 ms: 4 crowds of 16 events, then one of 528, on every target in turn."""
    reads = dict.fromkeys((target.name for target in setting.targets), 1.0)

    def run(target: Target, events: int, crowds: int) -> Load:
        start = time.monotonic()
        with setting.watched(target.name) as answered:
            for _ in range(crowds):
                tally = uvloop.run(_crowd(target, setting.plan.streams, events))
                answered(tally.complete)
                reads[target.name] = tally.reads / (tally.events + tally.complete)
        return Load(crowds * setting.plan.streams, time.monotonic() - start)

    jobs = [
        Job(f"{target.name}/{events}", target.pid, partial(run, target, events, crowds))
        for target in setting.targets
        for events, crowds in ((SHORT, SHORT_CROWDS), (LONG, 1))
    ]
    samples = run_rounds(jobs, setting.plan.stream_rounds)
    seen = ", ".join(f"{name} {share:.2f}" for name, share in reads.items())
    return [_row(samples, f"reads per event: {seen}; {waiting(samples)}")]


async def _crowd(target: Target, streams: int, events: int) -> Tally:
    request = request_bytes(target.stream_port, target.key, completion_body(events=events, pace_ms=PACE_MS))
    crowd = Crowd(target.stream_port, request)
    tally = await crowd.run(streams, OPENING_S * streams)
    if (tally.complete, tally.events) != (streams, streams * events):
        raise VoidError(
            f"{target.name}: {tally.complete} of {streams} streams, {tally.events} events, {tally.failed[:3]}"
        )
    return tally


def slopes(samples: Mapping[str, Sequence[Sample]]) -> dict[str, list[float]]:
    """Microseconds per further event, by name, from samples by "name/events"."""
    names = dict.fromkeys(name.partition("/")[0] for name in samples)
    return {
        name: [
            slope(short.cpu_us_per_unit, long.cpu_us_per_unit, SHORT, LONG)
            for short, long in zip(samples[f"{name}/{SHORT}"], samples[f"{name}/{LONG}"], strict=True)
        ]
        for name in names
    }


def _row(samples: Mapping[str, Sequence[Sample]], more: str) -> Row:
    costs = slopes(samples)
    opening = {name: median([s.cpu_us_per_unit for s in samples[f"{name}/{SHORT}"]]) for name in costs}
    facts = ", ".join(f"{name} {us:,.0f} us" for name, us in opening.items())
    return compare("5", "CPU per relayed SSE event", costs, unit="us", more=f"stream of 16: {facts}; {more}")
