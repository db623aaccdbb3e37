"""The whole suite with secrets planted: `DOMINION_TEST_CANARIES=1 make test`. Changes nothing without that variable.

Every program that tests start logs all it can and holds a secret in each setting that takes one and does nothing by
itself. What programs print, answer, write to files, rows and caches and send to emulators is kept, and searched when
all tests have run, for these secrets and for those that tests bring: keys in environment, files and requests, callers'
keys, sealing keys. Secrets may be where they belong: what is left out of the search says where.
"""

import contextlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import psycopg
import pytest
from sqlalchemy import make_url

from tests.whole.canaries import canary, files, found

SWITCH, KEPT = "DOMINION_TEST_CANARIES", "DOMINION_TEST_CANARIES_KEPT"
PLANTED = ("VAULT_TOKEN", "ALERT_WEBHOOK_SECRET", "SMTP_PASSWORD", "COHERE_API_KEY")
"""Settings and variables that change nothing while others are not set."""
SEARCHES_ITSELF = "tests/whole/test_canaries.py"
"""It knows each place where a secret must be, and its control leaks on purpose."""
SHORTEST = 8
OF_CALLERS = 43
"""How long the secret part of callers' keys is."""
OWN_FILES = (
    "dominion.toml",
    ".env",
    "key.json",
    "qwen.json",
    "copilot_token.txt",
    "qwen_credentials.json",
    "login.json",
)
"""Files of people and of sign-ins, whose secrets are theirs."""
CALLERS_KEY = re.compile(rb"dom_[0-9a-f]+_([A-Za-z0-9_-]{20,})")
IN_TOML = re.compile(r'(?:api_key|password|token|secret)\s*=\s*"([^"\s]+)"')
PRINTED_ONCE = re.compile(r"export (?:ADMIN_TOKEN|DOMINION_API_TOKEN)=|curl |-H \"Authorization|\"first_start\"")
TABLES = "select table_name from information_schema.tables where table_schema = 'public'"


class Record(NamedTuple):
    """What is kept of one program (`origin` empty), or of one listener."""

    test: str
    origin: str
    folder: str
    secrets: list[str]
    places: dict[str, str]


def kept_folder() -> Path | None:
    """Where things are kept; None in any other run."""
    folder = os.environ.get(KEPT)
    return Path(folder) if folder else None


def planted() -> dict[str, str]:
    """For the environment of a program."""
    return {"LOG_LEVEL": "debug", **{name: canary(name) for name in PLANTED}} if kept_folder() else {}


def keep_heard(origin: str, heard: Iterable[tuple[str, Mapping[str, str], bytes]]) -> None:
    """What a listener was sent."""
    if kept_folder():
        sent = b"\n".join(f"{path} {dict(headers)}".encode() + body for path, headers, body in heard)
        _write(secrets.token_hex(8), Record("", origin, "", [], {"sent": sent.decode("latin-1")}))


class Ear:
    """Hears what a program is asked and answers, and keeps it at its end."""

    def __init__(self) -> None:
        self._on = kept_folder() is not None
        self._id = secrets.token_hex(8)
        self._secrets: set[str] = set()
        self._answers: list[bytes] = []

    def hear(self, path: str, sent: bytes | None, headers: Mapping[str, str], answer: bytes) -> None:
        """One request and its answer. The answer that makes a key is where the key must be."""
        if not self._on:
            return
        self._secrets |= set(_brought(sent or b"", headers))
        if path.startswith("/admin/keys") and (made := CALLERS_KEY.search(answer)):
            self._secrets.add(made[1].decode())
            return
        self._answers.append(answer)

    def keep(self, folder: Path, environment: Mapping[str, str], lines: Iterable[str]) -> None:
        """The program has ended."""
        if not self._on:
            return
        named = [
            value for name, value in environment.items() if re.search("API_KEY|TOKEN$|SECRET|PASSWORD", name) and value
        ]
        urls = [make_url(environment[name]).password for name in ("DATABASE_URL", "REDIS_URL") if environment.get(name)]
        tables = [path.read_text() for path in (folder / "dominion.toml",) if path.exists()]
        told = [key for text in tables for key in IN_TOML.findall(text)]
        log = "".join(line for line in lines if not PRINTED_ONCE.search(line))
        places = {"the log": log, "answers": b"\n".join(self._answers).decode("latin-1")}
        database = environment.get("DATABASE_URL")
        if database:
            places["the database"] = _rows(database).decode("latin-1")
        known = {*self._secrets, *named, *told, *filter(None, urls)}
        long_enough = sorted(secret for secret in known if len(secret) >= SHORTEST)
        _write(self._id, Record("", "", str(folder), long_enough, places))


def _brought(sent: bytes, headers: Mapping[str, str]) -> Iterator[str]:
    """The providers' keys in a request."""
    for name, value in headers.items():
        if name.lower().replace("_", "-") == "x-dominion-provider-key":
            yield from (word for word in re.split(r"[\s,]+", value) if len(word) > SHORTEST)
    with contextlib.suppress(ValueError, UnicodeDecodeError, RecursionError):
        body = json.loads(sent or b"null")
        given = [body.get(name) for name in ("api_key", "apiKey")] if isinstance(body, dict) else []
        yield from (value for value in given if isinstance(value, str) and not re.search(r"\s", value))


def _rows(url: str) -> bytes:
    """Every row of every table; nothing of a server that has gone."""
    with contextlib.suppress(psycopg.Error), psycopg.connect(url) as connection:
        rows = []
        for (table,) in connection.execute(TABLES).fetchall():
            with connection.cursor().copy(f'copy "{table}" to stdout') as copied:
                rows += [bytes(row) for row in copied]
        return b"".join(rows)
    return b""


def _write(name: str, record: Record) -> None:
    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    folder = kept_folder()
    assert folder is not None
    (folder / name).write_bytes(msgspec.json.encode(record._replace(test=test.partition(" ")[0])))


# --- the search


def pytest_configure(config: pytest.Config) -> None:
    """Begin to keep."""
    if os.environ.get(SWITCH) and not os.environ.get(KEPT):
        os.environ[KEPT] = tempfile.mkdtemp(prefix="canaries-")
        config.add_cleanup(lambda: os.environ.__delitem__(KEPT))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search; what is found fails the run."""
    folder = kept_folder()
    if folder is None or hasattr(session.config, "workerinput"):
        return
    seen, searched = search(folder, besides=SEARCHES_ITSELF)
    report = session.config.pluginmanager.get_plugin("terminalreporter")
    if report is not None:
        report.write_line(f"\ncanaries: {searched}; {len(seen)} sightings")
        for line in seen[:50]:
            report.write_line(line)
    if seen:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def search(folder: Path, besides: str = "") -> tuple[list[str], str]:
    """What was seen in programs of all modules of tests but one, a line each, and how much was searched."""
    records = [msgspec.json.decode(path.read_bytes(), type=Record) for path in sorted(folder.iterdir())]
    sent: dict[str, dict[str, bytes]] = {}
    for record in records:
        if record.origin:
            sent.setdefault(_module(record), {})[record.origin] = record.places["sent"].encode("latin-1")
    seen, size, looked_for = [], 0, 0
    programs = [record for record in records if not record.origin and _module(record) != besides]
    for record in programs:
        places = {name: text.encode("latin-1", "replace") for name, text in record.places.items()}
        if Path(record.folder).is_dir():
            places |= files(Path(record.folder), besides=OWN_FILES)
        seen += [f"{record.test}: {name} in {place}" for name, place in found(_named(record.secrets), places)]
        ours = _named(filter(_is_ours, record.secrets))
        seen += [f"{record.test}: {name} sent to {place}" for name, place in found(ours, sent.get(_module(record), {}))]
        size += sum(map(len, places.values()))
        looked_for += len(record.secrets)
    size += sum(len(each) for origins in sent.values() for each in origins.values())
    return seen, f"{len(programs)} programs, {looked_for} secrets, {size >> 20} MiB"


def _named(secrets_of_one: Iterable[str]) -> dict[str, str | bytes]:
    """Secrets by what can be shown of them."""
    return {f"{secret[:4]}... of {len(secret)} characters": secret for secret in secrets_of_one}


def _is_ours(secret: str) -> bool:
    """Whether no provider may see it: what the operator and callers show to this gateway itself."""
    return secret.startswith("adm_") or secret in {canary(name) for name in PLANTED} or len(secret) == OF_CALLERS


def _module(record: Record) -> str:
    return record.test.partition("::")[0]
