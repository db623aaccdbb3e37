"""Figure 5t: CPU per event of a stream translated from OpenAI's chat to Anthropic's, against a relayed one."""

import time
from functools import partial
from statistics import median

import uvloop

from bench.estimate import ratios
from bench.figures.cpu_per_event import LONG, OPENING_S, PACE_MS, SHORT, SHORT_CROWDS, slopes
from bench.request import MESSAGES, PATH, completion_body, messages_body, request_bytes
from bench.rounds import Job, Load, run_rounds
from bench.row import Row, VoidError, waiting
from bench.setting import Setting
from bench.sse_client import DONE, Crowd
from bench.target import Target

MOST = 4.0
"""Times the cost of a relayed event that a translated one may have."""
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_MORE_FRAMES = 3
"""The block of the text begins and ends, the answer begins and closes; one chunk of chat has no text."""


def measure(setting: Setting) -> list[Row]:
    """As figure 5, on the gateway alone: relayed, relayed once more as the control, and translated, in turn."""
    target = setting.targets[-1]
    if target.name != "gateway":
        return []

    def run(events: int, crowds: int, *, translated: bool) -> Load:
        start = time.monotonic()
        with setting.watched(target.name) as answered:
            for _ in range(crowds):
                answered(uvloop.run(_crowd(target, setting.plan.streams, events, translated=translated)))
        return Load(crowds * setting.plan.streams, time.monotonic() - start)

    jobs = [
        Job(f"{name}/{events}", target.pid, partial(run, events, crowds, translated=name == "translated"))
        for name in ("relayed", "control", "translated")
        for events, crowds in ((SHORT, SHORT_CROWDS), (LONG, 1))
    ]
    samples = run_rounds(jobs, setting.plan.stream_rounds)
    costs = slopes(samples)
    ratio = ratios(costs["translated"], costs["relayed"])
    facts = [f"{name} {median(values):,.4g} us" for name, values in costs.items()]
    row = Row(
        "5t",
        "CPU per translated SSE event / relayed",
        ratio=ratio,
        control=ratios(costs["control"], costs["relayed"]),
        facts="; ".join([*facts, f"at most {MOST:g}", waiting(samples)]),
        void="" if ratio.median <= MOST else f"{ratio} is more than {MOST:g}",
    )
    return [row]


async def _crowd(target: Target, streams: int, events: int, *, translated: bool) -> int:
    """How many streams came whole. Raises VoidError unless all did."""
    body = messages_body if translated else completion_body
    request = request_bytes(
        target.stream_port, target.key, body(events=events, pace_ms=PACE_MS), MESSAGES if translated else PATH
    )
    crowd = Crowd(target.stream_port, request, _STOP if translated else DONE)
    tally = await crowd.run(streams, OPENING_S * streams)
    frames = streams * (events + _MORE_FRAMES * translated)
    if (tally.complete, tally.events) != (streams, frames):
        raise VoidError(f"{tally.complete} of {streams} streams, {tally.events} of {frames} events, {tally.failed[:3]}")
    return tally.complete
