"""Starts what the bench needs, each in its own process group on its core, and stops it however the bench ends."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

SERVER, LOAD = "server", "load"
_STOP_S = 5.0


class MissingToolError(Exception):
    """A program that pip cannot install is absent."""


def tool(name: str) -> str:
    """The path of nginx or wrk. Raises MissingToolError that says how to install it."""
    if path := shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"):
        return path
    message = f"{name} is not installed. Debian, Ubuntu: apt-get install {name}; macOS: not supported (needs /proc)."
    raise MissingToolError(message)


def raise_file_limit() -> int:
    """Raise the limit of open files as far as it goes; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], bool], seconds: float, what: str, *, every: float = 0.01) -> None:
    """Ask until the answer is yes. Raises TimeoutError that names `what`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


def listening(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Children:
    """Children by process group. The server under test has the first core to itself, the load shares the others."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        cores = sorted(os.sched_getaffinity(0))
        self._cores = {SERVER: {cores[0]}, LOAD: set(cores[1:]) or {cores[0]}}

    def __enter__(self) -> Self:
        """Move this process to the cores of the load."""
        os.sched_setaffinity(0, self._cores[LOAD])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all that still runs, the last first; a second Ctrl-C does not get in the way."""
        deaf = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        for child in reversed(self._running[:]):
            self.stop(child)
        for number, previous in deaf.items():
            signal.signal(number, previous)
        os.sched_setaffinity(0, self._cores[SERVER] | self._cores[LOAD])

    def start(
        self, command: Sequence[str], *, role: str, log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program; stdin is a pipe that ends with us, stderr goes to `log`.

        A server under test also has its stdout there, and works in the log's folder: a `.env` of ours is not its own.
        """
        with log.open("ab") as errors, self._pinned(role):
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=errors if role == SERVER else subprocess.PIPE,
                stderr=errors,
                env=env,
                cwd=log.parent if role == SERVER else None,
                start_new_session=True,
            )
        self._running.append(child)
        return child

    def stop(self, child: subprocess.Popen[bytes]) -> None:
        """End a child and all of its group: politely, then by force.

        The child is reaped last: until then its id, which names the group, cannot go to somebody else's process.
        """
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                wait_until(lambda: _has_ended(child.pid), _STOP_S, "a child ends")
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()
        self._running.remove(child)

    @contextmanager
    def _pinned(self, role: str) -> Iterator[None]:
        """A child inherits its core from us, so that not one of its threads starts elsewhere."""
        os.sched_setaffinity(0, self._cores[role])
        try:
            yield
        finally:
            os.sched_setaffinity(0, self._cores[LOAD])


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it stays to be reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
