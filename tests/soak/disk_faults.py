"""Disks that fail for a while under a running program: each fault is a context manager over it, and skips the test
where the machine has not what it takes.
"""

import contextlib
import errno
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.whole.program import COMMAND, Program

SIZE_MB = 48
MOUNTED = 'mkdir -p "$DOMINION_DATA_DIR" && mount -t tmpfs -o size=%dm,mode=700 none "$DOMINION_DATA_DIR" && exec "$@"'
Fault = Callable[[Program], AbstractContextManager[None]]


@contextmanager
def no_file_may_grow(program: Program) -> Iterator[None]:
    """Files end at a page: what would make one longer fails, as on a disk that is full."""
    before = resource.prlimit(program.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it was killed
            resource.prlimit(program.pid, resource.RLIMIT_FSIZE, before)


def seen_from_outside(program: Program) -> Path:
    """The program's data folder, also where that is a disk which nobody else has mounted."""
    return Path(f"/proc/{program.pid}/root{program.folder}/data")


@contextmanager
def disk_is_full(program: Program) -> Iterator[None]:
    """The program runs on a small disk of its own (`on_a_small_disk`), on which nothing is left."""
    ballast = seen_from_outside(program) / "ballast"
    piece = bytes(1 << 16)
    fd = os.open(ballast, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            try:
                os.write(fd, piece)
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - the end of the loop
                break
        yield
    finally:
        os.close(fd)
        ballast.unlink()


def on_a_small_disk() -> Sequence[str]:
    """A command that runs the program with its data on a disk of its own. Skips."""
    command = ("unshare", "--mount", "sh", "-c", MOUNTED % SIZE_MB, "small")
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    environment = {**os.environ, "DOMINION_DATA_DIR": tempfile.gettempdir()}
    able = not subprocess.run([*command, "true"], env=environment, capture_output=True, check=False).returncode
    if not able:
        pytest.skip("unshare may not mount here")
    return (*command, *COMMAND)


def injected(calls: str, error: str) -> Fault:
    """System calls fail with this error, by strace."""

    @contextmanager
    def failing(program: Program) -> Iterator[None]:
        if shutil.which("strace") is None:
            pytest.skip("strace is not installed")
        inject = f"inject={calls}:error={error}"
        command = ["strace", "-f", "-o", os.devnull, "-e", f"trace={calls}", "-e", inject, "-p", str(program.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            line = tracer.stderr.readline()
            if "attached" not in line:
                tracer.kill()
                pytest.skip(f"strace may not trace: {line}")
            try:
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    tracer.send_signal(signal.SIGINT)
                tracer.communicate()

    return failing


FAULTS: dict[str, Fault] = {
    "files may not grow": no_file_may_grow,
    "the disk is full": disk_is_full,
    "EIO of fsync": injected("fsync,fdatasync", "EIO"),
    "ENOSPC of writes": injected("pwrite64,fallocate", "ENOSPC"),
}
