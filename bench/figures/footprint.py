"""The footprint: how soon the gateway answers after its start, and what it needs while nobody asks."""

import time
from collections.abc import Sequence
from statistics import median

from bench.accounting import cpu_between, cpu_mark, memory
from bench.row import Row
from bench.setting import Setting

_IDLE_S = 2.0


def measure(setting: Setting, first_start_s: float) -> list[Row]:
    """Restart on the same data and ask until the first 200; then leave it alone. Facts only: there is no such nginx."""
    if not setting.gateway or not setting.caller:
        return []
    starts = [_restart(setting) for _ in range(setting.plan.starts)]
    time.sleep(_IDLE_S)
    mark = cpu_mark(setting.gateway.pid)
    time.sleep(_IDLE_S)
    idle_us = cpu_between(mark, cpu_mark(setting.gateway.pid)).cpu_ns / 1000 / _IDLE_S
    return [_row(first_start_s, starts, setting.gateway.pid, idle_us)]


def _row(first_s: float, starts: Sequence[float], pid: int, idle_us: float) -> Row:
    used = memory(pid)
    return Row(
        "+",
        "footprint of the gateway",
        facts=f"start to first answer {median(starts):.2f} s (first start ever, with user and key, {first_s:.2f} s); "
        f"idle PSS {used.pss / 2**20:.1f} MiB, RSS {used.rss / 2**20:.1f} MiB, CPU {idle_us:,.0f} us/s",
    )


def _restart(setting: Setting) -> float:
    """Seconds from the start of the process to its first answer."""
    assert setting.gateway is not None  # noqa: S101 -- asked by the caller
    assert setting.caller is not None  # noqa: S101
    setting.gateway.stop()
    with setting.watched("gateway") as answered:
        start = time.monotonic()
        setting.gateway.start()
        setting.gateway.wait_for_answer(setting.caller.key)
        taken = time.monotonic() - start
        answered(1)
    return taken
