"""Writes down what was measured: for the terminal while it runs, and as bench/RESULTS.md."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from bench import nginx, wrk
from bench.row import Row

_METHOD = """\
1. CPU is the kernel's account (nanoseconds) of the whole process tree of the server, from the start of a block of
   load to the start of its next one, so that work put off is charged too; divided by the answers (or events).
2. The server under test has one core to itself; mock upstream and load (wrk; own raw SSE client) share the others.
   HTTP/1.1 keep-alive on loopback, a request of 1 KB, an answer of 700 bytes. The gateway checks a key and five
   limits, holds, journals, meters and counts every request; nginx: `proxy_pass`, one worker, no access log.
3. Blocks alternate A-B-B-A, the first round is thrown away; the ratio is taken round by round, its median printed
   with a 95 % bootstrap interval. Ratios survive a noisy machine; absolute numbers are information.
4. The control is the same against the same in the same rounds (nginx and a second nginx; accepted and accepted
   again): it must be 1.00 within the limit, or the row is VOID.
5. Rows 11 to 13 compare gateways with gateways in the same way; their control is one more gateway like the first, in
   a process of its own. PostgreSQL and Valkey share the core of the load; what they use is printed beside the row and
   is not among the gateway's CPU.
6. Row 12: two cores cannot hold two workers and their load, so a worker gets half a core, whether there is one or two
   of them. Two workers share the core of the servers; one shares it with a process that never rests (the scheduler
   gives each half). Perfect workers come to 2.00. That says nothing about more than two workers, or about memory
   bandwidth between cores; locks between workers, leases and lost batching are in it.
7. Row 13: 100,000 keys, 10,000 users and 1,000,000 rows of 30 days with their sums, put in through the program's own
   schema; the caller is the same as on the empty database.
8. Fail closed: every answer a 200 with all its events; answers = requests at the mock = rows in the ledger; or VOID.
"""


def machine() -> dict[str, str]:
    """What was measured on, with what, and when."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    names = ("uvicorn", "uvloop", "httptools", "msgspec")
    return {
        "date": datetime.now().astimezone().isoformat(timespec="minutes"),
        "machine": f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}",
        "versions": f"Python {platform.python_version()}, nginx {nginx.version()}, wrk {wrk.version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names),
        "commit": _commit(),
        "command": "python -m bench.run " + " ".join(sys.argv[1:]),
    }


def line(row: Row) -> str:
    """One row for the terminal."""
    ratio = f"VOID ({row.verdict})" if row.verdict else row.ratio or ""
    control = f"  control {row.control}" if row.control else ""
    return f"{row.number:>3} {row.what}: {ratio}{control}\n      {row.facts}"


def markdown(about: Mapping[str, str], rows: Sequence[Row]) -> str:
    """The whole of RESULTS.md."""
    head = "\n".join(f"- {name}: {value}" for name, value in about.items())
    table = "\n".join(_cells(row) for row in rows)
    return (
        f"# What the gateway costs beside nginx\n\nWritten by `make bench`; do not edit.\n\n{head}\n\n"
        f"## Method\n\n{_METHOD}\n"
        f"## Figures\n\nRatios are gateway / nginx unless the row says otherwise: median, 95 % interval, rounds.\n\n"
        f"| # | figure | ratio | control | absolute, as information |\n|---|---|---|---|---|\n{table}\n"
    )


def _cells(row: Row) -> str:
    """One line of the table, whatever is in an error's message."""
    ratio = f"VOID: {row.verdict}" if row.verdict else row.ratio or ""
    cells = (row.number, row.what, ratio, row.control or "", row.facts)
    return "".join(f"| {' '.join(str(cell).split()).replace('|', '/')} " for cell in cells) + "|"


def _commit() -> str:
    """The commit that was measured, marked `-dirty` when files differ from it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 -- whatever git the developer uses
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
