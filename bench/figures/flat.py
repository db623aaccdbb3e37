"""Figure 13: what a request costs on a database of years of use, against an empty one."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median

from bench.accounting import memory
from bench.databases import databases
from bench.estimate import ratios
from bench.filling import FULL, fill
from bench.rounds import Job, Sample, run_rounds
from bench.row import Row, waiting
from bench.setting import Setting

MOST = 1.1
"""Times the cost and the p99 on an empty database that those on a full one may have."""
_CONNECTIONS = 32
_P99_CONTROL = 0.5


def measure(setting: Setting) -> list[Row]:
    """An empty database, one more as the control, and a full one, in turn: SQLite, then PostgreSQL."""
    if not setting.gateway:
        return []
    filled = setting.home / "filled"
    filled.mkdir()
    took = fill(filled / "gateway.db", FULL)
    with ExitStack() as stack:
        again = stack.enter_context(setting.another("empty-again"))
        used = stack.enter_context(setting.another("full", DOMINION_DATA_DIR=str(filled)))
        rows = _compare("SQLite", took, {"empty": setting, "control": again, "full": used})
    with ExitStack() as stack:
        servers = [stack.enter_context(databases()).settings["DATABASE_URL"] for _ in range(3)]
        took = fill(servers[-1], FULL)
        settings = {
            name: stack.enter_context(setting.another(f"{name}-postgres", DATABASE_URL=url))
            for name, url in zip(("empty", "control", "full"), servers, strict=True)
        }
        rows += _compare("PostgreSQL", took, settings)
    return rows


def _compare(where: str, took: float, settings: Mapping[str, Setting]) -> list[Row]:
    jobs = [
        Job(name, each.targets[-1].pid, partial(each.wrk, each.targets[-1], connections=_CONNECTIONS, seconds=1))
        for name, each in settings.items()
    ]
    samples = run_rounds(jobs, settings["empty"].plan.some_rounds)
    for each in settings.values():
        each.check_ledger()
    starts = ", ".join(f"{name} {_start(each):.2f} s" for name, each in settings.items())
    sizes = ", ".join(f"{name} {memory(each.targets[-1].pid).pss / 2**20:.1f} MiB" for name, each in settings.items())
    what = f"{FULL.keys:,} keys, {FULL.users:,} users, {FULL.rows:,} rows / none, {where}"
    return [
        _row(
            f"CPU per request, {what}",
            {name: [sample.cpu_us_per_unit for sample in found] for name, found in samples.items()},
            0.05,
            f"wanted: at most {MOST:g}; filled in {took:.0f} s; start to first answer {starts}; PSS after it {sizes}; "
            f"{waiting(samples)}",
        ),
        _row(f"p99 of requests, {what}", _p99(samples), _P99_CONTROL, f"wanted: at most {MOST:g}"),
    ]


def _p99(samples: Mapping[str, list[Sample]]) -> dict[str, list[float]]:
    return {name: [sample.load.p99_us for sample in found] for name, found in samples.items()}


def _row(what: str, costs: Mapping[str, list[float]], limit: float, more: str) -> Row:
    facts = [f"{name} {median(values):,.4g} us" for name, values in costs.items()]
    return Row(
        "13",
        what,
        ratio=ratios(costs["full"], costs["empty"]),
        control=ratios(costs["control"], costs["empty"]),
        control_limit=limit,
        facts="; ".join([*facts, more]),
    )


def _start(setting: Setting) -> float:
    """Seconds from the start of the process to its first answer, on the same data."""
    assert setting.gateway is not None  # noqa: S101 -- asked by the caller
    assert setting.caller is not None  # noqa: S101
    setting.gateway.stop()
    began = time.monotonic()
    setting.gateway.start()
    setting.gateway.wait_for_answer(setting.caller.key)
    return time.monotonic() - began
