"""The gateway under test: started with every feature on, with users, keys and limits, and its ledger to check it by."""

import http.client
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import SERVER, Children, MissingToolError, free_port, wait_until
from bench.request import MODEL, PROVIDER
from bench.target import Target, ask, ask_json, exchange

LIMITS: dict[str, int] = {
    "daily_requests": 1_000_000_000,
    "daily_tokens": 1_000_000_000_000,
    "monthly_spend_cap_usd": 100_000_000,
    "concurrent_requests": 100_000,
    "requests_per_minute": 1_000_000_000,
}
"""Every limit is set, so that every limit is checked; none is ever reached."""

_START_S = 30.0
_CONFIG = """\
[[providers.openai_compat]]
id = "{provider}"
base_url = "http://127.0.0.1:{port}"
api_key = "bench-provider-key"
model = "{model}"

[prices."{provider}/{model}"]
input = 1
output = 2
"""


@dataclass(frozen=True)
class Caller:
    """A user of the gateway and its key."""

    user_id: str
    key: str


@dataclass
class Gateway:
    """The gateway process and how to start it again on the same data; `more` settings as environment variables."""

    children: Children
    home: Path
    command: list[str]
    more: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    admin_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; returns at once."""
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DOMINION_DATA_DIR": str(self.home / "data"),
            "DOMINION_CONFIG": str(self.home / "dominion.toml"),
            "ADMIN_TOKEN": self.admin_token,
            "RATE_LIMIT_MAX": "0",
            **self.more,
        }
        self.process = self.children.start(self.command, role=SERVER, log=self.home / "gateway.log", env=env)

    def stop(self) -> None:
        """Stop the process, with the grace it asks for."""
        if self.process:
            self.children.stop(self.process)
            self.process = None

    @property
    def pid(self) -> int:
        """The root of its process tree."""
        if self.process is None:
            raise RuntimeError("the gateway is not running")
        return self.process.pid

    def wait_for_health(self) -> None:
        """Until /health answers 200. Raises RuntimeError with the end of its log when the process ends before."""
        wait_until(
            lambda: self._ended() or self._status("/health") == http.client.OK, _START_S, "the gateway is healthy"
        )

    def wait_for_answer(self, key: str) -> None:
        """Until the first completion is answered with 200."""
        wait_until(lambda: self._ended() or self._completes(key), _START_S, "the gateway answers", every=0.002)

    def add_caller(self, name: str, **limits: int) -> Caller:
        """Make a user with all limits set (`limits` replace the huge ones) and a key."""
        user = _text(self._admin("POST", "/admin/users", {"name": name}), "id")
        self._admin("POST", "/admin/limits", {"user_id": user} | LIMITS | limits)
        return Caller(user, _text(self._admin("POST", "/admin/keys", {"user_id": user}), "api_key"))

    def ledger_requests(self, user_id: str) -> int:
        """How many requests of this user are in the ledger."""
        usage = self._admin("GET", f"/admin/usage?user_id={user_id}")
        if not isinstance(usage, dict):
            raise TypeError(usage)
        return int(usage["totals"]["requests"])

    def target(self, caller: Caller) -> Target:
        """What the load needs to know."""
        return Target("gateway", self.pid, self.port, self.port, caller.key)

    def _admin(self, method: str, path: str, body: object = None) -> object:
        return ask_json(self.port, self.admin_token, method, path, body)

    def _ended(self) -> bool:
        if self.process and self.process.poll() is not None:
            log = (self.home / "gateway.log").read_text(errors="replace")[-3000:]
            raise RuntimeError(f"the gateway ended with {self.process.returncode}:\n{log}")
        return False

    def _completes(self, key: str) -> bool:
        try:
            return ask(self.port, key).status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def _status(self, path: str) -> int:
        try:
            return exchange(self.port, "GET", path, {}, None, timeout=2).status
        except (OSError, http.client.HTTPException):
            return 0


def program() -> list[str]:
    """The command beside this Python that serves. Raises MissingToolError where it is not installed."""
    path = Path(sys.executable).with_name("dominion")
    if not path.exists():
        raise MissingToolError("the command `dominion` is not installed beside this Python: run `make` first")
    return [str(path), "serve"]


def make_gateway(children: Children, home: Path, command: list[str], mock_port: int, **more: str) -> Gateway:
    """Write its configuration, with nothing from the environment of the person who runs the bench but `more`."""
    home.mkdir()
    (home / "dominion.toml").write_text(_CONFIG.format(provider=PROVIDER, model=MODEL, port=mock_port))
    return Gateway(children=children, home=home, command=command, more=more)


def _text(answer: object, name: str) -> str:
    if not isinstance(answer, dict) or not isinstance(answer.get(name), str):
        raise TypeError(f"no text {name!r} in {answer!r}")
    return str(answer[name])
