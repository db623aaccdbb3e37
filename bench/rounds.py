"""Runs blocks of load in turn, forwards and backwards, and charges each process with all the CPU that follows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.accounting import CpuMark, cpu_between, cpu_mark


@dataclass(frozen=True)
class Load:
    """What one block of load did: units of work (requests or streams), its length, closed-loop latencies if known."""

    units: int
    seconds: float
    p50_us: float = 0.0
    p99_us: float = 0.0


@dataclass(frozen=True)
class Job:
    """One kind of block: a name, the process tree that is charged (0: none), and the load."""

    name: str
    pid: int
    run: Callable[[], Load]


@dataclass(frozen=True)
class Sample:
    """One block: the load, nanoseconds of CPU from its start to the next block of the same process, and of waiting."""

    load: Load
    cpu_ns: int
    wait_ns: int

    @property
    def cpu_us_per_unit(self) -> float:
        """Microseconds of CPU per unit of work."""
        return self.cpu_ns / 1000 / self.load.units

    @property
    def units_per_second(self) -> float:
        """Rate over the wall clock."""
        return self.load.units / self.load.seconds

    @property
    def busy(self) -> float:
        """Share of one core that was in use while the load ran."""
        return self.cpu_ns / 1e9 / self.load.seconds


def sequence(names: Sequence[str], rounds: int) -> list[str]:
    """A-B-B-A: each round holds each name once, every other round backwards."""
    return [name for turn in range(rounds) for name in (names if turn % 2 == 0 else names[::-1])]


def run_rounds(jobs: Sequence[Job], rounds: int) -> dict[str, list[Sample]]:
    """`rounds` samples per job; one more round runs first and is thrown away.

    A process is charged from the start of its block to the start of its next one, so that work it puts off (rows to
    the database, closing connections) is counted, and so is what it does when nobody asks.
    """
    by_name = {job.name: job for job in jobs}
    order = sequence([job.name for job in jobs], rounds + 1)
    loads: list[Load] = []
    marks: list[CpuMark] = []
    for name in order:
        marks.append(_mark(by_name[name]))
        loads.append(by_name[name].run())
    last = {job.pid: _mark(job) for job in jobs}
    samples: dict[str, list[Sample]] = {job.name: [] for job in jobs}
    for at, name in enumerate(order):
        pid = by_name[name].pid
        later = (marks[i] for i in range(at + 1, len(order)) if by_name[order[i]].pid == pid)
        spent = cpu_between(marks[at], next(later, last[pid]))
        samples[name].append(Sample(loads[at], spent.cpu_ns, spent.wait_ns))
    return {name: found[1:] for name, found in samples.items()}


def _mark(job: Job) -> CpuMark:
    return cpu_mark(job.pid) if job.pid else CpuMark({})
