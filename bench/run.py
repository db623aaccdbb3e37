"""Runs the bench: `python -m bench.run [--quick]`. Exit code 0; 1: a row is VOID; 2: a program is absent; 130: stop."""

import argparse
import dataclasses
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from bench import results
from bench.figures import (
    added_latency,
    cpu_per_event,
    cpu_per_request,
    cpu_per_translated_event,
    flat,
    footprint,
    memory_per_stream,
    rejects,
    shared_database,
    stale_connections,
    workers,
)
from bench.gateway import make_gateway, program
from bench.nginx import start_nginx
from bench.processes import Children, MissingToolError, raise_file_limit, tool
from bench.provider import start_mock
from bench.row import Row, VoidError
from bench.setting import FULL, QUICK, Plan, Setting

_INTERRUPTED = 130
_RESULTS = Path(__file__).with_name("RESULTS.md")

Figure = Callable[[Setting], list[Row]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write bench/RESULTS.md (a quick run writes only where it is told to)."""
    options = _parser().parse_args(arguments)
    try:
        command = None if options.without_gateway else program()
        for name in ("nginx", "wrk"):
            tool(name)
    except MissingToolError as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    plan = QUICK if options.quick else FULL
    try:
        with tempfile.TemporaryDirectory(prefix="dominion-bench-") as home, Children() as children:
            rows = _measure(children, Path(home), plan, command, options.only)
    except KeyboardInterrupt:
        print("stopped, and everything that was started", file=sys.stderr)
        return _INTERRUPTED
    output = options.output or (None if options.quick or options.only or options.without_gateway else _RESULTS)
    if output:
        output.write_text(results.markdown(results.machine(), rows))
        print(f"written to {output}")
    void = sum(bool(row.verdict) for row in rows)
    print(f"{len(rows)} rows, {void} VOID")
    return int(void > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="about 75 s, for a first look: its few rounds are often VOID; no RESULTS.md",
    )
    parser.add_argument("--without-gateway", action="store_true", help="only nginx against nginx: a check of the bench")
    parser.add_argument(
        "--only",
        metavar="WORDS",
        default="",
        help="only figures whose name holds one of these words, which commas part",
    )
    parser.add_argument("--output", type=Path, help="where to write the table")
    return parser


def _measure(children: Children, home: Path, plan: Plan, command: list[str] | None, only: str) -> list[Row]:
    setting, first_start_s = _start(children, home, plan, command)
    # First those that count every request exactly; wrk leaves some under way, for which the ledger check must allow.
    figures: dict[str, Figure] = {
        "footprint": partial(footprint.measure, first_start_s=first_start_s),
        "added_latency": added_latency.measure,
        "stale_connections": stale_connections.measure,
        "cpu_per_event": cpu_per_event.measure,
        "cpu_per_translated_event": cpu_per_translated_event.measure,
        "memory_per_stream": memory_per_stream.measure,
        "cpu_per_request": cpu_per_request.measure,
        "rejects": rejects.measure,
        "shared_database": shared_database.measure,
        "workers": workers.measure,
        "flat": flat.measure,
    }
    rows = []
    for name, figure in figures.items():
        if any(word in name for word in only.split(",")):
            start = time.monotonic()
            for row in _rows(name, figure, setting):
                rows.append(row)
                print(results.line(row), flush=True)
            print(f"      ({name}: {time.monotonic() - start:.0f} s)", flush=True)
    return sorted(rows, key=lambda row: row.number.rjust(3))


def _start(children: Children, home: Path, plan: Plan, command: list[str] | None) -> tuple[Setting, float]:
    """All servers, and the seconds from the gateway's very first start to its first answer."""
    files = raise_file_limit()
    mock = start_mock(children, home)
    setting = Setting(
        home=home,
        plan=plan,
        mock=mock,
        nginx=start_nginx(children, "nginx", home / "nginx", upstream=mock.port, files=files),
        control=start_nginx(children, "control", home / "control", upstream=mock.port, files=files),
    )
    if command is None:
        return setting, 0.0
    setting.gateway = make_gateway(children, home / "gateway", command, mock.port)
    with setting.watched("gateway") as answered:
        start = time.monotonic()
        setting.gateway.start()
        setting.gateway.wait_for_health()
        setting.caller = setting.gateway.add_caller("bench")
        setting.gateway.wait_for_answer(setting.caller.key)
        taken = time.monotonic() - start
        answered(1)
    return setting, taken


def _rows(name: str, figure: Figure, setting: Setting) -> list[Row]:
    """The rows of a figure, void when it fails or when the ledger does not balance after it."""
    try:
        rows = figure(setting)
    except (VoidError, OSError, RuntimeError) as error:
        return [Row("?", name, void=f"{type(error).__name__}: {error}")]
    try:
        setting.check_ledger()
    except VoidError as error:
        return [dataclasses.replace(row, void=str(error)) for row in rows]
    return rows


def _stop(_number: int, _frame: FrameType | None) -> None:
    """The same way out as Ctrl-C, which a running event loop passes on; an exception from here it may swallow."""
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
