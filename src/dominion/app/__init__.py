"""The composition root: settings in, a running gateway out. The only package that knows everyone."""

from dominion.app.gateway import Ready, log_to_stderr, main, seated, serve, work
from dominion.app.place import Place, given_place, given_socket, systemd_socket
from dominion.app.supervisor import supervise

__all__ = [
    "Place",
    "Ready",
    "given_place",
    "given_socket",
    "log_to_stderr",
    "main",
    "seated",
    "serve",
    "supervise",
    "systemd_socket",
    "work",
]
