"""A gateway with every kind of secret planted, among providers who remember what they were shown."""

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dominion.config import SETTINGS
from dominion.config.kinds import ADMIN_TOKEN, SECRET
from tests.emulators.echo import Echo
from tests.emulators.keyed import Keyed
from tests.emulators.listening import Listening
from tests.emulators.natives import AWS, REGION, Natives
from tests.whole.canaries import canary, files
from tests.whole.program import COMMAND, Answer, Program

ADMIN, OWN, ANEW, BAD, PASSED, REGISTERED, KEYED, BEHIND = (
    canary(name) for name in ("admin", "own", "own anew", "own bad", "passed", "registered", "keyed", "behind")
)
ECHO, ECHO_OWN = canary("echo")[:20], canary("own at echo")[:20]
"""Of a form that nothing tells from a word."""
DATABASE, REDIS, PROXY = (f"{canary(name)[:6]}/+@{canary(name)[6:]}" for name in ("database", "redis", "proxy"))
HOOK = canary("the way to the hook")
SEALING = canary("sealing")[:32] * 2
SECRETS = [each.env for each in SETTINGS if each.kind in (SECRET, ADMIN_TOKEN)]
"""Every setting that is one; addresses with passwords in them go beside."""
AT_NATIVES = {  # as tests/emulators/natives.py wants them
    "ANTHROPIC_API_KEY": "sk-ant-canary",
    "OPENAI_API_KEY": "sk-canary",
    "GEMINI_API_KEY": "AIza-canary",
    "AZURE_OPENAI_API_KEY": "azure-canary",
    "AWS_SECRET_ACCESS_KEY": AWS.secret_key,
}
TOKENS = {
    "GitHub's token": "gho_canary",
    "Copilot's token": "copilot-short",
    "Qwen's first token": "qwen-refresh",
    "Qwen's token": "qwen-new",
    "Google's token": "ya29.short",
}


class House:
    """A gateway among providers, and all that is heard of it. `told` are answers, and what commands print."""

    def __init__(self, program: Program, natives: Natives, keyed: Keyed, echo: Echo) -> None:
        self.program = program
        self.natives = natives
        self.sent_to: dict[str, Listening] = {"keyed": keyed, "echo": echo}
        self.told: list[bytes] = []
        self.user_id, self.key = program.user(requests_per_minute=100_000)
        self.bearer = {"token": self.key}

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> Answer:
        """One request."""
        answer = self.program.ask(method, path, body, token, **headers)
        self.told.append(answer.body + str(answer.headers).encode())
        return answer

    def admin(self, method: str, path: str, body: Any = None) -> Answer:
        """An operator's request."""
        return self.ask(method, path, body, self.program.admin_token)

    def command(self, *words: str, said: str = "") -> None:
        """A command of the operator's or of the caller's."""
        at = {"DOMINION_API_URL": self.program.url, "DOMINION_API_TOKEN": self.key}
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.program.folder,
            env=self.program.environment | at | {"ADMIN_TOKEN": self.program.admin_token},
            input=said.encode(),
            capture_output=True,
            check=False,
            timeout=60,
        )
        self.told += [done.stdout, done.stderr]
        assert b"Traceback" not in done.stderr, (words, done.stderr)

    def places(self) -> dict[str, bytes]:
        """All but a database on a server."""
        seen = files(self.program.folder, besides=["dominion.toml", "key.json"])
        seen["the log"] = "".join(self.program.lines).encode()
        seen["what was told"] = b"\n".join(self.told)
        heard = [(self.natives._ports[number], asked) for number, asked in self.natives.heard]
        heard += [(name, asked) for name, listening in self.sent_to.items() for _, asked in listening.heard]
        for name, asked in heard:
            bytes_of = f"{asked.path} {asked.headers}".encode() + asked.body
            seen[f"sent to {name}"] = seen.get(f"sent to {name}", b"") + bytes_of
        return seen


def toml(natives: Natives, keyed: Keyed, echo: Echo, folder: Path) -> str:
    """Where everybody listens, and keys in the file."""
    at = natives.url
    tables: dict[str, dict[str, object]] = {
        "anthropic": {"base_url": at("anthropic")},
        "openai": {"base_url": at("openai")},
        "gemini": {"base_url": at("gemini")},
        "azure_openai": {"endpoint": at("azure_openai")},
        "vertex": {"key_file": folder / "key.json", "base_url": at("vertex")},
        "bedrock": {"region": REGION, "base_url": at("bedrock")},
        "qwen_oauth": {"credentials_path": folder / "qwen.json", "sign_in_url": at("sign-ins")},
        "copilot": {
            "token_path": folder / "copilot_token.txt",
            "api_url": at("sign-ins"),
            "base_url": at("copilot"),
        },
    }
    lines = [f"[providers.{name}]\n" + "".join(f'{k} = "{v}"\n' for k, v in t.items()) for name, t in tables.items()]
    compatible = (("echo", echo.url, ECHO), ("keyed", keyed.url, KEYED), ("behind", "http://nowhere.invalid", BEHIND))
    for name, url, key in compatible:
        lines.append(f'[[providers.openai_compat]]\nid = "{name}"\nbase_url = "{url}"\napi_key = "{key}"\n')
    return "".join(lines)


def planted(**others: str) -> dict[str, str]:
    """A secret for every setting that is one."""
    proxy = f"http://somebody:{quote(PROXY, safe='')}@127.0.0.1:9"
    special = AT_NATIVES | {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "AWS_BEARER_TOKEN_BEDROCK": ""}
    return {name: canary(name) for name in SECRETS} | special | others


def secrets_of(house: House, **others: str | bytes) -> dict[str, str | bytes]:
    """By name, in the form in which they are looked for."""
    environment = house.program.environment
    given = {name: environment[name] for name in (*SECRETS, *AT_NATIVES) if environment.get(name)}
    key_file = (house.program.folder / "key.json").read_text()
    named: dict[str, str | bytes] = {"Google's private key": key_file.partition("PRIVATE KEY")[2][200:240]}
    named |= {"proxy": PROXY, "database": DATABASE, "redis": REDIS, "behind": BEHIND, "keyed": KEYED, "echo": ECHO}
    named |= {"own": OWN, "own anew": ANEW, "own bad": BAD, "own at echo": ECHO_OWN, "passed": PASSED}
    named |= {"hook": HOOK, "registered": REGISTERED, "ADMIN_TOKEN": house.program.admin_token}
    named |= {"caller's key": house.key.split("_", 2)[2], "first caller's key": house.program.key.split("_", 2)[2]}
    return TOKENS | given | named | others


@contextlib.contextmanager
def house_in(folder: Path, command: Sequence[str] = COMMAND, **environment: str) -> Iterator[House]:
    """Started with everything planted. Without ADMIN_TOKEN it makes one."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as opened:
        natives, keyed = Natives(folder), Keyed(KEYED, REGISTERED, OWN, ANEW, PASSED)
        echo = Echo()
        for each in (natives, keyed, echo):
            opened.enter_context(each)
        natives.write_files()
        program = Program(
            folder,
            toml=toml(natives, keyed, echo, folder),
            command=command,
            HOME=str(folder),
            LOG_LEVEL="debug",
            UNPRICED="allow",
            NO_PROXY="127.0.0.1",
            DOMINION_EGRESS_ALLOW="127.0.0.0/8",
            AWS_ACCESS_KEY_ID=AWS.access_key,
            ALERT_WEBHOOK_URL=f"{echo.url}/hook/{HOOK}",
            ALERT_EMAIL_TO="somebody@example.com",
            SMTP_HOST="127.0.0.1",
            SMTP_PORT="9",
            SMTP_USER="somebody",
            SMTP_FROM="gateway@example.com",
            **planted(**environment),
        )
        opened.enter_context(program)
        program.wait_for_line("Then ask something")
        minted = re.search(r"export ADMIN_TOKEN=(\S+)", "".join(program.lines))
        program.admin_token = minted[1] if minted else program.environment["ADMIN_TOKEN"]
        yield House(program, natives, keyed, echo)
