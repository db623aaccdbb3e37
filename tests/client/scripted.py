"""A server that says what a test wants, over a real socket, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Said(NamedTuple):
    """An answer. Pieces of a stream are sent one by one; `broken` cuts the connection before the promised end."""

    body: bytes | Sequence[bytes] = b"{}"
    status: int = 200
    headers: Mapping[str, str] = {}
    broken: bool = False


class Asked(NamedTuple):
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body decoded."""
        return json.loads(self.body)


class Scripted:
    """Answers by "METHOD path" without the query; what it does not know is a 404 without a body."""

    def __init__(self, answers: Mapping[str, Said], port: int) -> None:
        self.answers = dict(answers)
        self.asked: list[Asked] = []
        self.url = f"http://127.0.0.1:{port}"


def said(value: Any, status: int = 200, **headers: str) -> Said:
    """A JSON answer."""
    return Said(json.dumps(value).encode(), status, {"content-type": "application/json", **headers})


def events(*values: Any, broken: bool = False) -> Said:
    """A stream of server-sent events; texts as they are, anything else as JSON."""
    frames = [f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode() for value in values]
    return Said(frames, 200, {"content-type": "text/event-stream"}, broken)


@contextmanager
def scripted(answers: Mapping[str, Said]) -> Iterator[Scripted]:
    """A running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer()

        do_POST = do_DELETE = do_GET  # noqa: N815 - names of http.server

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            server.asked.append(Asked(self.command, self.path, headers, body))
            answer = server.answers.get(f"{self.command} {self.path.partition('?')[0]}", Said(b"", 404))
            pieces = [answer.body] if isinstance(answer.body, bytes) else answer.body
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(sum(map(len, pieces)) + answer.broken))
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
            self.close_connection = self.close_connection or answer.broken

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server = Scripted(answers, listening.server_address[1])
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
