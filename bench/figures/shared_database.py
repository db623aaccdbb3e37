"""Figure 11: CPU per request of the gateway on PostgreSQL and Valkey, against the gateway on SQLite."""

from functools import partial
from statistics import median

from bench.databases import Databases, databases
from bench.estimate import ratios
from bench.rounds import Job, run_rounds
from bench.row import Row, waiting
from bench.setting import Setting

MOST = 1.3
"""Times the cost of a request on SQLite that one on the servers may have."""
_CONNECTIONS = 32


def measure(setting: Setting) -> list[Row]:
    """Three gateways in turn: on SQLite, on SQLite once more as the control, and on servers that others could share."""
    if not setting.gateway:
        return []
    with databases() as servers, setting.another("control-sqlite") as control:
        with setting.another("shared", **servers.settings) as shared:
            row = _compare({"SQLite": setting, "control": control, "shared": shared}, servers)
            shared.check_ledger()
        control.check_ledger()
    return [row]


def _compare(settings: dict[str, Setting], servers: Databases) -> Row:
    jobs = [
        Job(name, each.targets[-1].pid, partial(each.wrk, each.targets[-1], connections=_CONNECTIONS, seconds=1))
        for name, each in settings.items()
    ]
    before = servers.cpu_ns()
    samples = run_rounds(jobs, settings["SQLite"].plan.few_rounds)
    requests = settings["shared"].books.upstream
    beside = [
        f"{name} {(used - before[name]) / 1000 / requests:.1f} us per request"
        for name, used in servers.cpu_ns().items()
    ]
    costs = {name: [sample.cpu_us_per_unit for sample in found] for name, found in samples.items()}
    ratio = ratios(costs["shared"], costs["SQLite"])
    facts = [f"{name} {median(values):,.4g} us" for name, values in costs.items()]
    return Row(
        "11",
        "CPU per request of the gateway on PostgreSQL and Valkey / on SQLite",
        ratio=ratio,
        control=ratios(costs["control"], costs["SQLite"]),
        facts="; ".join([*facts, *beside, f"wanted: at most {MOST:g}", waiting(samples)]),
    )
