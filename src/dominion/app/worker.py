"""One worker of several: reports to its supervisor through a socket, obeys it, and ends with it in good order."""

import asyncio
import socket
from collections.abc import Callable, Mapping

import msgspec

STOP, RETIRE, CUT = b"stop\n", b"retire\n", b"cut\n"
"""What a supervisor tells: drain, for the gateway ends; drain, for another has come; end at once."""


def take_seat(supervisor: socket.socket) -> int:
    """Wait until the supervisor says which worker this process is; 0: it never will, as it has gone. Blocks."""
    told = b""
    while not told.endswith(b"\n"):
        byte = supervisor.recv(1)  # what comes behind the number is not for here
        if not byte:
            return 0
        told += byte
    return int(told)


def report(supervisor: socket.socket, ready: tuple[object, ...]) -> None:
    """Say that this worker serves, and what its start came to."""
    supervisor.sendall(msgspec.json.encode(ready) + b"\n")


async def obey(supervisor: socket.socket, does: Mapping[bytes, Callable[[], None]]) -> None:
    """Do what the supervisor says, for as long as it lives; when it dies, what STOP does."""
    reader, _ = await asyncio.open_connection(sock=supervisor)
    while line := await reader.readline():
        does[line]()
    does[STOP]()
