"""What `doctor` looks at on the operator's side. Reads, tries and reports; never changes, makes or repairs anything."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec

from dominion.app.world import keys_place
from dominion.client.connection import Connection
from dominion.client.errors import read_error
from dominion.config import Settings, load, slots
from dominion.credentials.present import PER_REQUEST
from dominion.domain.errors import (
    ConfigProblem,
    DominionError,
    InvalidCredentials,
    NetworkFailure,
    ProviderError,
    ProviderTimeout,
)
from dominion.domain.providers import Slot
from dominion.providers.catalog import STUB, Catalogue
from dominion.providers.model_lists import list_of_models
from dominion.stores.files.frames import read_frames
from dominion.stores.schema import tables as schema
from dominion.stores.sealing.keys import read_ring
from dominion.stores.sql.database import look
from dominion.transports.http.listener import bind
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.ollama.dialect import OLLAMA_CHAT
from dominion.wire.openai_chat.dialect import OPENAI_CHAT

DIALECTS = {dialect.name: dialect for dialect in (OPENAI_CHAT, ANTHROPIC_MESSAGES, GEMINI, OLLAMA_CHAT)}
READ_AT_MOST = 64 * 1024 * 1024
"""Bytes of the journal that are looked into."""


class Finding(msgspec.Struct, frozen=True):
    """One line of the report. "note" is worth knowing and nothing wrong. `action` says what to do."""

    subject: str
    state: Literal["ok", "note", "wrong"]
    text: str
    action: str = ""

    @classmethod
    def of(cls, subject: str, error: DominionError) -> "Finding":
        """An error as a finding."""
        return cls(subject, "wrong", error.message, error.action)


async def operator_findings(environ: Mapping[str, str], folder: Path) -> list[Finding]:
    """Everything about running a gateway here; `folder` holds .env and dominion.toml."""
    try:
        settings = load(environ, None, folder)
    except ConfigProblem as error:
        return [Finding.of("configuration", error)]
    return [
        Finding("configuration", "ok", "dominion.toml, .env and the environment are understood."),
        *_kept(settings),
        *await _providers(settings),
        await _port(settings),
    ]


def _kept(settings: Settings) -> Iterator[Finding]:
    """The data folder and what is in it."""
    folder = settings.data_dir
    if not folder.exists():
        yield Finding("data folder", "note", f"{folder} does not exist yet; the first `serve` makes it.")
        return
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("data folder", "wrong", f"{folder} is no folder that this user can read and write.", "Mend it.")
        return
    yield Finding("data folder", "ok", f"{folder} can be read and written.")
    database = settings.sqlite_path
    if settings.database_url:
        yield (found := _server(settings.database_url.reveal()))
        yield _sealing(settings, needed=found.state == "ok")
    else:
        yield _database(database) if database.exists() else Finding("database", "note", f"{database} is not there yet.")
        yield _sealing(settings, needed=database.exists())
    for journal in (folder / "journal", *sorted(folder.glob("workers/*/journal"))):
        yield _journal(journal)


def _server(address: str) -> Finding:
    try:
        revision, users, keys = look(address)
    except DominionError as error:
        return Finding.of("database", error)
    if revision is None:
        return Finding("database", "note", "PostgreSQL answers; the first `serve` makes the tables.")
    if revision != schema.HEAD:
        return Finding("database", "note", "PostgreSQL is of another version; `serve` brings it up to date.")
    return Finding("database", "ok", f"PostgreSQL answers; users: {users}, keys: {keys}.")


def _database(file: Path) -> Finding:
    # Even a reader makes files beside the database, unless it knows that nobody writes.
    mode = "mode=ro" if file.with_name(f"{file.name}-wal").exists() else "immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?{mode}", uri=True, timeout=5)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            users, keys = (
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - two literals
                for table in ("users", "api_keys")
            )
    except sqlite3.Error as error:
        return Finding("database", "wrong", f"{file}: {error}.", "Put a backup in its place.")
    if found != "ok":
        return Finding("database", "wrong", f"{file} is damaged: {found}.", "Put a backup in its place.")
    if revision != schema.HEAD:
        return Finding("database", "note", f"{file} is of another version; `serve` brings it up to date.")
    return Finding("database", "ok", f"{file} is whole; users: {users}, keys: {keys}.")


def _sealing(settings: Settings, *, needed: bool) -> Finding:
    try:
        place = keys_place(settings)
        if (kept := place.read()) is not None:
            read_ring(kept, place)
            return Finding("sealing key", "ok", f"{place.name}: it is there and private.")
    except ConfigProblem as error:
        return Finding.of("sealing key", error)
    if needed:
        text = f"{place.name}: the key is missing, so no key in the database can be checked."
        return Finding("sealing key", "wrong", text, "Restore it from a backup, or make new keys for all users.")
    return Finding("sealing key", "note", f"{place.name}: there is no key yet.")


def _journal(folder: Path) -> Finding:
    damaged = sorted(folder.glob("journal-*.log.damaged"))
    if damaged:
        text = f"{len(damaged)} damaged segments were set aside in {folder}; rows in them may not be charged."
        return Finding(
            "journal", "wrong", text, "Keep them, check the disk, and compare usage with the provider's bill."
        )
    segments = sorted(folder.glob("journal-*.log"))
    if sum(segment.stat().st_size for segment in segments) > READ_AT_MOST:
        text = f"{len(segments)} segments in {folder} wait for the database."
        return Finding("journal", "wrong", text, "Check that the gateway runs and can write its database.")
    try:
        waiting = sum(len(read_frames(segment.read_bytes())[0]) for segment in segments)
    except msgspec.DecodeError:
        return Finding("journal", "wrong", f"{folder} was written by a newer version.", "Start that version once.")
    return Finding("journal", "ok", f"{len(segments)} segments with {waiting} records in {folder}.")


async def _providers(settings: Settings) -> list[Finding]:
    found, warnings = slots(settings, Catalogue.load(settings.default_model))
    findings = [Finding("providers", "wrong", warning, "Correct it, or remove the table.") for warning in warnings]
    real = list({(slot.row.id, slot.target.origin): slot for slot in found if slot.row.id != STUB}.values())
    if not real:
        text = "None is configured, so the stub answers."
        findings.append(Finding("providers", "note", text, "Set OPENAI_API_KEY or ANTHROPIC_API_KEY."))
    return findings + list(await asyncio.gather(*map(_provider, real)))


async def _provider(slot: Slot) -> Finding:
    """Ask a provider for its list of models, which costs nothing and shows whether the key is good."""
    subject, origin = f"provider {slot.row.id}", slot.target.origin
    lists = list_of_models(slot.target)
    if lists is None or slot.row.wire not in DIALECTS or slot.row.credentials == PER_REQUEST:
        return Finding(subject, "note", f"{slot.row.name} is configured; only a completion shows whether it answers.")
    _, *lines = lists.head.decode("ascii").splitlines()
    dialect = DIALECTS[slot.row.wire]
    headers = {name.decode(): value.decode() for name, value in dialect.default_headers}
    headers |= dict(line.split(": ", 1) for line in lines if not line.startswith(("host:", "content-type:")))
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    connection = Connection(
        f"{origin.scheme}://{host}:{origin.port}",
        headers,
        partial(dialect.read_error, slot.row.name),
        whom=slot.row.name,
    )
    try:
        await connection.call("GET", lists.path.decode("ascii"))
    except (InvalidCredentials, NetworkFailure, ProviderTimeout) as error:
        return Finding.of(subject, error)
    except ProviderError as error:
        return Finding(subject, "note", f"{slot.row.name} answers, but not the list of its models: {error.message}")
    finally:
        await connection.aclose()
    return Finding(subject, "ok", f"{slot.row.name} answers.")


async def _port(settings: Settings) -> Finding:
    try:
        bind(settings.host, settings.port).close()
    except ConfigProblem as error:
        return await _listening(settings.port) or Finding.of("port", error)
    return Finding("port", "ok", f"{settings.host} port {settings.port} is free.")


async def _listening(port: int) -> Finding | None:
    """Whether it is a gateway that took the port."""
    connection = Connection(f"http://127.0.0.1:{port}", {}, read_error, whom="the gateway")
    try:
        await connection.call("GET", "/health")
    except DominionError:
        return None
    finally:
        await connection.aclose()
    return Finding("port", "ok", f"A gateway runs on port {port}.")
