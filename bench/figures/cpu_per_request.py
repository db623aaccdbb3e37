"""Figures 1 and 3: CPU per whole answer, and the rate at which one core is full."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median

from bench.estimate import ratios
from bench.rounds import Job, Sample, run_rounds
from bench.row import Row, compare, waiting
from bench.setting import Setting

_CONNECTIONS, _FEW = 32, 8


def measure(setting: Setting) -> list[Row]:
    """Closed loop by wrk with 32 and with 8 connections."""
    plan = setting.plan
    loaded = run_rounds(_jobs(setting, _CONNECTIONS, plan.block_s), plan.rounds)
    few = run_rounds(_jobs(setting, _FEW, plan.block_s), plan.few_rounds)
    direct = setting.wrk(setting.mock.target(), connections=_CONNECTIONS, seconds=plan.block_s)
    return [
        _cpu(f"CPU per request, {_CONNECTIONS} connections", loaded),
        _cpu(f"CPU per request, {_FEW} connections", few),
        _saturation(loaded, direct.units / direct.seconds),
    ]


def _jobs(setting: Setting, connections: int, seconds: int) -> list[Job]:
    return [
        Job(target.name, target.pid, partial(setting.wrk, target, connections=connections, seconds=seconds))
        for target in setting.targets
    ]


def _cpu(what: str, samples: Mapping[str, Sequence[Sample]]) -> Row:
    costs = {name: [sample.cpu_us_per_unit for sample in found] for name, found in samples.items()}
    return compare("1", what, costs, unit="us", more=waiting(samples))


def _saturation(samples: Mapping[str, Sequence[Sample]], direct: float) -> Row:
    """The gateway's rate as it was; nginx's as if its core had been full, for the load may be slower than nginx."""
    rates = {name: [sample.units_per_second for sample in found] for name, found in samples.items()}
    full = [sample.units_per_second / min(sample.busy, 1) for sample in samples["nginx"]]
    facts = [
        f"{name} {median(rates[name]):,.0f}/s with {median(s.busy for s in found):.0%} of its core, "
        f"p50 {median(s.load.p50_us for s in found):,.0f} us, "
        f"p99 {median(s.load.p99_us for s in found):,.0f} us"
        for name, found in samples.items()
    ]
    return Row(
        "3",
        "requests/s of one full core (more is better)",
        ratio=ratios(rates["gateway"], full) if "gateway" in rates else None,
        control=ratios(rates["control"], rates["nginx"]),
        facts="; ".join([*facts, f"bare upstream {direct:,.0f}/s"]),
    )
