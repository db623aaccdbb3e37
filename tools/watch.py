"""Runs a command, and again whenever a Python or TOML file under the given folders changes; never changes a file.

    python -m tools.watch src tests -- python -m pytest

What still runs when a change comes is asked to end first. Ends by ctrl-C.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

LOOK_EVERY = 0.3
PATIENCE = 15.0
SUFFIXES = frozenset({".py", ".toml", ".env", ".sql"})

Snapshot = dict[Path, int]


def snapshot(folders: Sequence[Path]) -> Snapshot:
    """The watched files and when each was written, in nanoseconds. A file that vanishes meanwhile is left out."""
    found: Snapshot = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.suffix in SUFFIXES:
                try:
                    found[path] = path.stat().st_mtime_ns
                except FileNotFoundError:
                    continue
    return found


def changed(folders: Sequence[Path], before: Snapshot) -> Snapshot:
    """Wait for a change, and for the end of it: editors and checkouts write many files at once."""
    while (now := snapshot(folders)) == before:
        time.sleep(LOOK_EVERY)
    while (settled := snapshot(folders)) != now:
        now = settled
        time.sleep(LOOK_EVERY)
    return now


def end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child to end, and make it after a while."""
    child.terminate()
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def watch(folders: Sequence[Path], command: Sequence[str]) -> NoReturn:
    """Run and run again, until interrupted."""
    seen = snapshot(folders)
    while True:
        with subprocess.Popen(command) as child:
            try:
                seen = changed(folders, seen)
                print("watch: a file changed, starting again", file=sys.stderr, flush=True)
            finally:
                end(child)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """The exit code."""
    if "--" not in arguments or arguments[0] == "--" or arguments[-1] == "--":
        print("use: python -m tools.watch FOLDER... -- COMMAND...", file=sys.stderr)
        return 2
    cut = arguments.index("--")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        watch([Path(folder) for folder in arguments[:cut]], arguments[cut + 1 :])
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
