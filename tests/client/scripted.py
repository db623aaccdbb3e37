"""A server that says what a test wants, over a real socket, and remembers what it was asked."""

import json
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.whole.canary_run import keep_heard

LONGEST_WAIT = 20.0
"""Seconds."""


class Said(NamedTuple):
    """An answer. Pieces of a stream are sent one by one, the last one when `heard` is set (None: at once).

    `broken` cuts the connection before the promised end.
    """

    body: bytes | Sequence[bytes] = b"{}"
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    broken: bool = False
    heard: threading.Event | None = None


class Asked(NamedTuple):
    """A request as it came; header names in lower case. `port` tells the connections of callers apart."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int

    def json(self) -> Any:
        """The body decoded."""
        return json.loads(self.body)


class Scripted:
    """Answers by "METHOD path" without the query; what it does not know is a 404 without a body."""

    def __init__(self, answers: Mapping[str, Said], url: str) -> None:
        self.answers = dict(answers)
        self.asked: list[Asked] = []
        self.url = url


def said(value: Any, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})) -> Said:
    """A JSON answer."""
    return Said(json.dumps(value).encode(), status, {"content-type": "application/json"} | dict(headers))


def events(*values: Any, broken: bool = False, heard: threading.Event | None = None) -> Said:
    """A stream of server-sent events; texts as they are, anything else as JSON."""
    frames = [f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode() for value in values]
    return Said(frames, 200, {"content-type": "text/event-stream"}, broken, heard)


class _Listening(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that has enough may cut the connection; anything else is a mistake of the test."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def scripted(answers: Mapping[str, Said], tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer()

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names of http.server

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            server.asked.append(Asked(self.command, self.path, headers, body, self.client_address[1]))
            answer = server.answers.get(f"{self.command} {self.path.partition('?')[0]}", Said(b"", 404))
            pieces = [answer.body] if isinstance(answer.body, bytes) else answer.body
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(sum(map(len, pieces)) + answer.broken))
            self.end_headers()
            for piece in pieces[:-1]:
                self.wfile.write(piece)
                self.wfile.flush()
            if answer.heard is not None:
                answer.heard.wait(LONGEST_WAIT)
            self.wfile.write(b"".join(pieces[-1:]))
            self.wfile.flush()
            self.close_connection = self.close_connection or answer.broken

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    listening = _Listening(("127.0.0.1", 0), Handler)
    if tls is not None:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    server = Scripted(answers, f"{'http' if tls is None else 'https'}://127.0.0.1:{listening.server_address[1]}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
        keep_heard(server.url, [(asked.path, asked.headers, asked.body) for asked in server.asked])
