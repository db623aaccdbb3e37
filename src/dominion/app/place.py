"""Where a process of the gateway stands: alone, or as one worker of several, with a socket that was handed to it."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dominion.domain.errors import ConfigProblem

JOURNAL, WORKERS = "journal", "workers"
FIRST_GIVEN_FD = 3
"""Where systemd puts what it hands over."""


class Place(NamedTuple):
    """`number` 0: the only process. `listening` is None when it must be opened; `supervisor` leads to the supervisor.

    `adopts` says that it takes over what processes that are no more have left in their journals.
    """

    number: int = 0
    listening: socket.socket | None = None
    supervisor: socket.socket | None = None
    adopts: bool = True

    def folder(self, data_dir: Path) -> Path:
        """The folder that belongs to this process alone."""
        return data_dir / WORKERS / str(self.number) if self.number else data_dir


ALONE = Place()


def journals(data_dir: Path, *, besides: Place | None = None) -> list[Path]:
    """The folders of the journals that processes have kept here, without that of one place."""
    found = [data_dir / JOURNAL, *sorted((data_dir / WORKERS).glob(f"*/{JOURNAL}"))]
    own = besides and besides.folder(data_dir) / JOURNAL
    return [path for path in found if path.is_dir() and path != own]


def given_place(number: int, listening_fd: int, supervisor_fd: int, *, adopts: bool) -> Place:
    """The place of a worker, as its supervisor handed it over. Raises ConfigProblem."""
    supervisor = socket.socket(fileno=supervisor_fd)
    supervisor.set_inheritable(False)
    return Place(number, given_socket(listening_fd), supervisor, adopts)


def systemd_socket(environ: Mapping[str, str]) -> socket.socket | None:
    """The socket that systemd hands to this process; None: none. Raises ConfigProblem."""
    if environ.get("LISTEN_PID") != str(os.getpid()) or environ.get("LISTEN_FDS", "0") == "0":
        return None
    return given_socket(FIRST_GIVEN_FD)


def given_socket(fd: int) -> socket.socket:
    """A listening socket that was handed over. Raises ConfigProblem when there is none at this descriptor."""
    try:
        found = socket.socket(fileno=fd)
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigProblem(f"There is no socket at descriptor {fd}: {error.strerror}.") from error
    if not listens:
        found.detach()
        raise ConfigProblem(f"The socket at descriptor {fd} does not listen.")
    found.set_inheritable(False)
    found.setblocking(False)
    return found
