"""Figure 12: requests per second of two workers against one, where each worker has half a core."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median

from bench.databases import databases
from bench.estimate import ratios
from bench.processes import SERVER
from bench.rounds import Job, Load, Sample, run_rounds
from bench.row import Row
from bench.setting import Setting

LEAST = 1.7
"""Times the rate of one worker that two are wanted to have."""
_CONNECTIONS = 64


def measure(setting: Setting) -> list[Row]:
    """One worker, one more as the control, and two, in turn: on SQLite, then on PostgreSQL and Valkey."""
    if not setting.gateway:
        return []
    rows = []
    with setting.another("one-again") as again, setting.another("two", "--workers", "2") as two:
        rows.append(_compare("on SQLite", {"one": setting, "control": again, "two": two}))
    with ExitStack() as stack:
        servers = stack.enter_context(databases()).settings
        one, again, two = (
            stack.enter_context(setting.another(f"{name}-shared", *options, **servers))
            for name, options in (("one", ()), ("again", ()), ("two", ("--workers", "2")))
        )
        rows.append(_compare("on PostgreSQL and Valkey", {"one": one, "control": again, "two": two}))
    return rows


def _compare(where: str, settings: Mapping[str, Setting]) -> Row:
    """Requests that are not in the books of all gateways raise VoidError."""
    plan = settings["one"].plan
    with _rival(settings["one"]) as rival:
        jobs = [
            Job(name, each.targets[-1].pid, partial(_load, each, None if name == "two" else rival))
            for name, each in settings.items()
        ]
        samples = run_rounds(jobs, plan.some_rounds)
    for each in settings.values():
        each.check_ledger()
    rates = {name: [sample.units_per_second for sample in found] for name, found in samples.items()}
    return Row(
        "12",
        f"requests/s of two workers / of one, half a core each, {where} (more is better)",
        ratio=ratios(rates["two"], rates["one"]),
        control=ratios(rates["control"], rates["one"]),
        facts="; ".join([*_facts(samples), f"wanted: at least {LEAST:g}"]),
    )


def _facts(samples: Mapping[str, list[Sample]]) -> Iterator[str]:
    for name, found in samples.items():
        yield (
            f"{name} {median(s.units_per_second for s in found):,.0f}/s with {median(s.busy for s in found):.0%} of "
            f"the core, {median(s.cpu_us_per_unit for s in found):.1f} us of CPU per request, "
            f"p99 {median(s.load.p99_us for s in found):,.0f} us"
        )


def _load(setting: Setting, rival: subprocess.Popen[bytes] | None) -> Load:
    """A block of load, while the rival takes its half of the core."""
    if rival is None:
        return setting.wrk(setting.targets[-1], connections=_CONNECTIONS, seconds=setting.plan.block_s)
    rival.send_signal(signal.SIGCONT)
    try:
        return _load(setting, None)
    finally:
        rival.send_signal(signal.SIGSTOP)


@contextmanager
def _rival(setting: Setting) -> Iterator[subprocess.Popen[bytes]]:
    """A process on the core of the servers that never rests; it is stopped, and runs when it is told to."""
    assert setting.gateway is not None  # noqa: S101 -- asked by the caller
    children = setting.gateway.children
    rival = children.start([sys.executable, "-c", "while True: pass"], role=SERVER, log=setting.home / "rival.log")
    rival.send_signal(signal.SIGSTOP)
    try:
        yield rival
    finally:
        rival.send_signal(signal.SIGCONT)
        children.stop(rival)
