"""The real program in a process of its own, on port 0, with a folder of its own; and a small HTTP client for it."""

import contextlib
import http.client
import json
import os
import queue
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.whole.canary_run import Ear, planted

START_SECONDS = 30.0
ADMIN_TOKEN = "adm_for_tests_only_0123456789abcdef"
COMMAND = (sys.executable, "-c", "from dominion.cli.main import main; main()")


def own_port() -> str:
    """A free port that nobody else gets between two starts: it is below those which the system gives for port 0."""
    while True:
        port = secrets.choice(range(10_000, 32_000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Program:
    """`dominion serve`, started by `with`, ended by its end. `url` is known once it is ready."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        toml: str = "",
        command: Sequence[str] = COMMAND,
        pass_fds: Sequence[Any] = (),  # of int; Any lets tests hand in a dict of environment variables
        **environment: str,
    ) -> None:
        self.folder = folder
        self.options = options
        self.command = command
        self.pass_fds = pass_fds
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.endswith(("_API_KEY", "_OAUTH_TOKEN")) and not name.startswith("DOMINION_")
        } | {
            "DOMINION_DATA_DIR": str(folder / "data"),
            "PORT": "0",
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "RATE_LIMIT_MAX": "0",
            "ROUTER_RETRY_COUNT": "0",
            **planted(),
            **environment,
        }
        self._ear = Ear()
        folder.mkdir(parents=True, exist_ok=True)
        if toml:
            (folder / "dominion.toml").write_text(toml)
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        self.said = threading.Condition()
        self.url = ""
        self.key = ""
        self.admin_token = ADMIN_TOKEN

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> float:
        """Start and wait until it says that it is ready; returns the seconds that took."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [*self.command, "serve", *self.options],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=self.pass_fds,
        )
        found: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self.process, found), daemon=True)
        self._reader.start()
        try:
            self.url = found.get(timeout=START_SECONDS)
        except queue.Empty:
            self.kill()
            raise AssertionError("not ready:\n" + "".join(self.lines)) from None
        if not self.url:
            self.process.wait()
            raise AssertionError("ended at its start:\n" + "".join(self.lines))
        self.start_seconds = time.monotonic() - began
        return self.start_seconds

    def _read(self, process: "subprocess.Popen[str]", found: "queue.Queue[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self.said:
                    self.lines.append(line)
                    self.said.notify_all()
                key = re.search(r"(dom_[0-9a-f]+_[A-Za-z0-9_-]{20,})", line)
                if key and not self.key:
                    self.key = key[1]
                ready = re.match(r"Dominion answers at (http://[^;]+)", line)
                if ready:
                    found.put(ready[1])
        found.put("")

    def wait_for_line(self, text: str, times: int = 1) -> None:
        """Return when it has printed or logged so many lines with this text."""
        with self.said:
            assert self.said.wait_for(lambda: sum(text in line for line in self.lines) >= times, START_SECONDS), text

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """End it in good order; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._reader.join()
        self._ear.keep(self.folder, self.environment, self.lines)
        return code

    def kill(self) -> None:
        """End it as a power switch would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self._ear.keep(self.folder, self.environment, self.lines)

    # --- talking to it

    def connect(self) -> http.client.HTTPConnection:
        """A connection of one's own."""
        return http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> Answer:
        """One request on a fresh connection. `body` bytes as they are, anything else as JSON."""
        connection = self.connect()
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json"} if raw is not None else {}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, raw, sent)
            answer = connection.getresponse()
            told = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
            self._ear.hear(path, raw, sent, told.body + str(told.headers).encode())
            return told
        finally:
            connection.close()

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """An operator's request that must succeed."""
        answer = self.ask(method, path, body, token=self.admin_token)
        assert answer.status in (200, 201), (answer.status, answer.body)
        return answer.json

    def operator(self, *words: str) -> str:
        """What an operator's command that must succeed prints."""
        run = subprocess.run(
            [*COMMAND, *words, "--url", self.url],
            env={**os.environ, "ADMIN_TOKEN": self.admin_token},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def user(self, **limits: Any) -> tuple[str, str]:
        """A new user with every limit lifted but those given, and a key: (user id, key)."""
        user = self.admin("POST", "/admin/users", {"name": "Somebody"})
        lifted = dict.fromkeys(
            ("daily_requests", "daily_tokens", "monthly_spend_cap_usd", "concurrent_requests", "requests_per_minute")
        )
        self.admin("POST", "/admin/limits", {"user_id": user["id"], **lifted, **limits})
        return user["id"], self.admin("POST", "/admin/keys", {"user_id": user["id"]})["api_key"]

    def chat(self, key: str, model: str = "stub/echo", content: str = "Hello!", **fields: Any) -> Answer:
        """A chat completion at the OpenAI door."""
        body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
        return self.ask("POST", "/v1/chat/completions", body, token=key)

    def usage(self, user_id: str) -> Any:
        """The ledger's sums of a user."""
        return self.admin("GET", f"/admin/usage?user_id={user_id}")["totals"]
