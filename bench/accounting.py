"""What a tree of processes has used, from /proc alone: CPU, waiting, memory, file descriptors."""

import os
import time
from dataclasses import dataclass
from pathlib import Path


def process_tree(root: int) -> list[int]:
    """`root` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _read(entry / "stat")):
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    tree = [root]
    for pid in tree:
        tree.extend(children.get(pid, ()))
    return tree


@dataclass(frozen=True)
class CpuMark:
    """What each process of a tree has used at one moment: nanoseconds on a CPU, and waiting for one."""

    processes: dict[int, tuple[int, int]]


@dataclass(frozen=True)
class CpuSpent:
    """What a tree has used between two marks, in nanoseconds."""

    cpu_ns: int
    wait_ns: int


def cpu_mark(root: int) -> CpuMark:
    """Read the kernel's accounts of the tree. Raises ProcessLookupError when `root` has ended."""
    processes = {pid: (_cpu_ns(pid), _wait_ns(pid)) for pid in process_tree(root)}
    return CpuMark(processes)


def cpu_between(before: CpuMark, after: CpuMark) -> CpuSpent:
    """The difference; a process that is new counts from zero.

    Raises ProcessLookupError when one has ended meanwhile: what it used last is not known.
    """
    if ended := before.processes.keys() - after.processes.keys():
        raise ProcessLookupError(f"ended while it was measured: {ended}")
    pairs = [(now, before.processes.get(pid, (0, 0))) for pid, now in after.processes.items()]
    return CpuSpent(
        cpu_ns=sum(now[0] - then[0] for now, then in pairs), wait_ns=sum(now[1] - then[1] for now, then in pairs)
    )


def cpu_of_server(root: int) -> int:
    """Nanoseconds that a tree has used so far, with those of children that ended (to a hundredth of a second)."""
    waited_for = sum(map(int, _read(Path(f"/proc/{root}/stat")).rpartition(")")[2].split()[13:15]))
    return sum(_cpu_ns(pid) for pid in process_tree(root)) + waited_for * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _cpu_ns(pid: int) -> int:
    """The CPU clock of a process: field 1 of /proc/<pid>/task/*/schedstat over its threads, also those that ended.

    The clock's number is what clock_getcpuclockid(3) answers.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError as error:
        raise ProcessLookupError(pid) from error


def _wait_ns(pid: int) -> int:
    """Time that its runnable threads waited for a core."""
    return sum(
        int(text.split()[1]) for task in Path(f"/proc/{pid}/task").glob("*") if (text := _read(task / "schedstat"))
    )


@dataclass(frozen=True)
class Memory:
    """Bytes of a tree: PSS counts a page shared by n processes as 1/n in each, RSS counts it in each."""

    pss: int
    rss: int


def memory(root: int) -> Memory:
    """Sum smaps_rollup over the tree."""
    sums = {"Pss:": 0, "Rss:": 0}
    for pid in process_tree(root):
        for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
            name, *value = line.split()
            if name in sums:
                sums[name] += int(value[0]) * 1024
    return Memory(pss=sums["Pss:"], rss=sums["Rss:"])


def open_files(root: int) -> int:
    """File descriptors of the tree."""
    return sum(sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()) for pid in process_tree(root))


def _read(path: Path) -> str:
    """The text, or nothing if the process has ended meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
