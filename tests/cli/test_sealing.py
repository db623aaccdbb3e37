"""`dominion sealing`: keys are rotated and retired on the folder of a gateway, and nothing that was sealed is lost."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from dominion.credentials.keys import derive
from dominion.credentials.sealing import Sealer
from dominion.rules.audit_chain import Chain
from dominion.stores.sealing.keys import KeyFile, KeyRing, key_ring
from dominion.stores.sql.audit import SqlAudit
from dominion.stores.sql.database import Database
from dominion.stores.sql.registry import SqlRegistry
from tests.cli.conftest import Run

SECOND = "22" * 32
PLAIN = "sk-canary-0123456789"


@pytest.fixture
def data(folder: Path) -> Path:
    """The data folder of a gateway with one sealed credential."""
    made = folder / "data"
    made.mkdir()
    ring = key_ring(KeyFile(made / "sealing.key"))
    kept(
        made,
        lambda registry: registry.put_credential(sealer(ring).seal("provider:a", "api_key", "https://a:443", PLAIN, 1)),
    )
    return made


def sealer(ring: KeyRing) -> Sealer:
    return Sealer(ring.versions, ring.current)


def kept(data: Path, act: Any) -> Any:
    """What `act` finds in the registry."""

    async def acted() -> Any:
        database = Database.open(data / "gateway.db")
        try:
            return await act(SqlRegistry(database))
        finally:
            await database.close()

    return asyncio.run(acted())


def credentials(data: Path) -> Any:
    return kept(data, SqlRegistry.credentials)


def told(run: Run, *words: str, code: int = 0, environ: Mapping[str, str] = MappingProxyType({})) -> Any:
    result = run("sealing", *words, "--json", **environ)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_rotation_seals_everything_anew_and_can_be_ended(run: Run, data: Path) -> None:
    root = key_ring(KeyFile(data / "sealing.key")).root
    for version in (2, 3):
        assert told(run, "rotate") == {
            "current": version,
            "versions": list(range(1, version + 1)),
            "credentials": {"done": 1, "left": 0, "problems": []},
        }
    assert told(run, "retire")["versions"] == [1, 3]
    ring = key_ring(KeyFile(data / "sealing.key"))
    assert (ring.root, ring.current) == (root, 3)
    (credential,) = credentials(data)
    assert (credential.key_version, sealer(ring).open(credential)) == (3, PLAIN)
    shown = run("sealing", "reseal").stdout
    assert shown == "Version 3 seals; versions 1, 3 open.\nSealed anew: 0. Still under an older key: 0.\n"
    assert PLAIN not in "".join(path.read_bytes().decode("latin-1") for path in data.iterdir() if path.is_file())


def test_every_change_of_the_keys_is_in_the_audit_log(run: Run, data: Path) -> None:
    before = time.time() * 1000
    told(run, "rotate")
    told(run, "retire")
    told(run, "reseal")
    key = derive(key_ring(KeyFile(data / "sealing.key")).root, "audit-log")

    async def entries() -> Any:
        database = Database.open(data / "gateway.db")
        try:
            return await SqlAudit(database, key).entries()
        finally:
            await database.close()

    found = asyncio.run(entries())
    assert [(one.actor, one.action, one.after) for one in found] == [
        ("cli", "sealing_key_rotated", {"current": 2, "versions": [1, 2]}),
        ("cli", "sealing_key_retired", {"current": 2, "versions": [1, 2]}),
    ]
    assert all(before <= one.at <= time.time() * 1000 for one in found)
    assert Chain(key).take(found) == []


def test_keys_are_not_retired_while_a_credential_needs_them(run: Run, data: Path) -> None:
    told(run, "rotate")
    (credential,) = credentials(data)
    lost = Sealer({9: b"9" * 32}, 9).seal("provider:lost", "api_key", "https://b:443", PLAIN, 1)
    kept(data, lambda registry: registry.put_credential(lost))
    answer = told(run, "reseal", code=1)
    assert (answer["credentials"]["left"], len(answer["credentials"]["problems"])) == (1, 1)
    result = run("sealing", "retire")
    assert result.exit_code != 0
    assert "an older version, do not open: 1." in result.stderr
    assert credentials(data) == [credential, lost]


def test_keys_of_the_environment_are_rotated_by_their_owner_and_resealed_here(run: Run, data: Path) -> None:
    source = {"DOMINION_SEALING_KEY_SOURCE": "environment"}
    first = key_ring(KeyFile(data / "sealing.key")).text()
    refused = run("sealing", "rotate", **source, DOMINION_SEALING_KEY=first)
    assert refused.exit_code != 0
    assert "only its owner can change" in refused.stderr
    assert first not in refused.output
    answer = told(run, "reseal", environ={**source, "DOMINION_SEALING_KEY": f"{first},2:{SECOND}"})
    assert (answer["current"], answer["credentials"]["done"]) == (2, 1)
    assert credentials(data)[0].key_version == 2


def test_without_keys_nothing_is_minted(run: Run, folder: Path) -> None:
    (folder / "data").mkdir()
    result = run("sealing", "rotate")
    assert result.exit_code != 0
    assert "There is no sealing key in data/sealing.key." in result.stderr
    assert "DOMINION_DATA_DIR" in result.stderr
    assert not (folder / "data" / "sealing.key").exists()
