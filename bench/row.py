"""What a figure reports: a ratio with its confidence and its control, or VOID with the reason, and facts beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.estimate import Interval, ratios
from bench.rounds import Sample


class VoidError(Exception):
    """A check has failed: there is no number, only this reason."""


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` is gateway / nginx unless `what` says otherwise; `control` nginx / nginx.

    `control_limit`: how far from 1 the control may be. `facts`: absolute numbers, as information.
    """

    number: str
    what: str
    ratio: Interval | None = None
    control: Interval | None = None
    control_limit: float = 0.05
    facts: str = ""
    void: str = ""

    @property
    def verdict(self) -> str:
        """Why this row is void; empty when it counts."""
        if self.void or self.control is None or self.control.near_one(self.control_limit):
            return self.void
        return f"control {self.control} is not 1.00 +- {self.control_limit:.2f}"


def compare(number: str, what: str, costs: Mapping[str, Sequence[float]], *, unit: str, more: str) -> Row:
    """A row from costs per round of `nginx`, `control` and, if it ran, `gateway`; `more` facts come last."""
    facts = [f"{name} {median(values):,.4g} {unit}" for name, values in costs.items()]
    return Row(
        number,
        what,
        ratio=ratios(costs["gateway"], costs["nginx"]) if "gateway" in costs else None,
        control=ratios(costs["control"], costs["nginx"]),
        facts="; ".join([*facts, more]),
    )


def waiting(samples: Mapping[str, Sequence[Sample]]) -> str:
    """How noisy the machine was: time that runnable threads of the servers waited for their core, as share of CPU."""
    shares = [sample.wait_ns / max(sample.cpu_ns, 1) for found in samples.values() for sample in found]
    return f"run-queue wait {median(shares):.0%} of CPU"
