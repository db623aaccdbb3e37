"""The sealing keys in the environment, the system's keyring and a Vault: the same promises as for the file."""

import json
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.null import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from dominion.credentials.sealing import Sealer
from dominion.domain.errors import ConfigProblem, Conflict
from dominion.stores.sealing.keys import KeyFile, KeyPlace, KeyRing, change_keys, key_ring, retire, rotate
from dominion.stores.sealing.places import KeyVariable, SystemKeyring, Vault, VaultSecret, key_place

FIRST, SECOND = "11" * 32, "22" * 32
RING = KeyRing({1: bytes.fromhex(FIRST), 2: bytes.fromhex(SECOND)})
TOKEN = "hvs.canary-token"
NO_VAULT = Vault("", "", "secret/dominion")


class ShelfKeyring(KeyringBackend):
    """A keyring in a dictionary, as a system's own would be."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("canary")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked("canary")
        self.kept[service, username] = password


@pytest.fixture
def shelf() -> Iterator[ShelfKeyring]:
    """The system's keyring while the test runs."""
    before, shelf = keyring.get_keyring(), ShelfKeyring()
    keyring.set_keyring(shelf)
    yield shelf
    keyring.set_keyring(before)


class VaultServer(ThreadingHTTPServer):
    """The KV engine, version 2, of a Vault: one mount "secret", compare and set, a token, a seal."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), VaultDoor)
        self.versions: dict[str, list[dict[str, str]]] = {}
        self.sealed = False
        self.before_write: Callable[[], object] = lambda: None
        self.address = f"http://127.0.0.1:{self.server_port}"


class VaultDoor(BaseHTTPRequestHandler):
    """Answers as https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 says."""

    server: VaultServer

    def do_GET(self) -> None:
        versions = self.server.versions.get(self.path, [])
        if not self._refused():
            found = {"data": versions[-1], "metadata": {"version": len(versions)}} if versions else None
            self._say(200 if found else 404, {"data": found})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.before_write()
        versions = self.server.versions.setdefault(self.path, [])
        if self._refused():
            return
        if asked["options"]["cas"] != len(versions):
            self._say(400, {"errors": ["check-and-set parameter did not match the current version"]})
            return
        versions.append(asked["data"])
        self._say(200, {"data": {"version": len(versions)}})

    do_PUT = do_POST  # noqa: N815 - named by http.server

    def _refused(self) -> bool:
        if self.server.sealed:
            self._say(503, {"errors": ["Vault is sealed"]})
        elif self.headers["x-vault-token"] != TOKEN or not self.path.startswith("/v1/secret/data/"):
            self._say(403, {"errors": ["permission denied"]})
        else:
            return False
        return True

    def _say(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
        """Nothing to say."""


@pytest.fixture
def vault() -> Iterator[VaultServer]:
    with VaultServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def secret(vault: VaultServer, token: str = TOKEN, path: str = "secret/dominion") -> VaultSecret:
    return VaultSecret(Vault(vault.address, token, path))


@pytest.fixture(params=["keyring", "vault"])
def place(request: pytest.FixtureRequest) -> KeyPlace:
    """Those that keep what they are given."""
    if request.param == "keyring":
        request.getfixturevalue("shelf")
        return SystemKeyring()
    return secret(request.getfixturevalue("vault"))


@pytest.mark.promise("003-180", "003-211")
def test_a_key_is_minted_once_rotated_and_retired(place: KeyPlace) -> None:
    ring = key_ring(place)
    assert key_ring(place) == ring
    old = Sealer(ring.versions, ring.current).seal("provider:a", "api_key", "https://a:443", "canary", 1)
    rotated = rotate(place)
    assert (rotated.root, rotated.current, key_ring(place)) == (ring.root, 2, rotated)
    assert Sealer(rotated.versions, rotated.current).open(old) == "canary"
    rotate(place)
    assert sorted(retire(place).versions) == sorted(key_ring(place).versions) == [1, 3]


def test_an_empty_place_takes_over_the_keys_of_the_file(place: KeyPlace, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "sealing.key")
    file.replace(None, RING.text())
    assert key_ring(place, file) == RING
    rotate(file)
    assert key_ring(place, file) == RING


def test_a_change_by_somebody_else_meanwhile_is_not_lost(place: KeyPlace) -> None:
    key_ring(place)

    def change(ring: KeyRing) -> KeyRing:
        rotate(place)
        return ring.with_next(b"x" * 32)

    with pytest.raises(Conflict):
        change_keys(place, change)
    assert b"x" * 32 not in key_ring(place).versions.values()


def test_the_environment_holds_one_key_or_several() -> None:
    assert key_ring(KeyVariable(FIRST)) == KeyRing({1: bytes.fromhex(FIRST)})
    assert key_ring(KeyVariable(f"{FIRST},2:{SECOND}")) == RING
    with pytest.raises(ConfigProblem, match="DOMINION_SEALING_KEY is not set") as caught:
        key_ring(KeyVariable(""))
    assert "openssl rand" in caught.value.action
    with pytest.raises(ConfigProblem, match="DOMINION_SEALING_KEY does not hold a sealing key"):
        key_ring(KeyVariable(FIRST[:-1]))
    with pytest.raises(ConfigProblem, match="only its owner can change") as caught:
        rotate(KeyVariable(FIRST))
    assert FIRST not in caught.value.message + caught.value.action


def test_a_system_without_a_keyring_that_keeps_secrets_is_refused() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(ConfigProblem, match="no keyring that keeps secrets"):
            SystemKeyring()
    finally:
        keyring.set_keyring(before)


def test_a_locked_keyring_is_told_and_nothing_is_minted(shelf: ShelfKeyring) -> None:
    place = SystemKeyring()
    shelf.locked = True
    for act in (place.read, lambda: place.replace(None, FIRST)):
        with pytest.raises(ConfigProblem, match=r"cannot be read \(KeyringLocked\)") as caught:
            act()
        assert "canary" not in caught.value.message
    assert shelf.kept == {}


def test_vault_keeps_the_other_fields_of_the_secret(vault: VaultServer) -> None:
    vault.versions["/v1/secret/data/team/gateway"] = [{"other": "kept"}]
    ring = key_ring(secret(vault, path="secret/team/gateway"))
    assert vault.versions["/v1/secret/data/team/gateway"] == [
        {"other": "kept"},
        {"other": "kept", "sealing_key": ring.text()},
    ]


def test_gateways_that_start_at_once_agree_on_the_key_in_vault(vault: VaultServer) -> None:
    rings: list[KeyRing] = []

    def other_gateway() -> None:
        vault.before_write = lambda: None
        rings.append(key_ring(secret(vault)))

    vault.before_write = other_gateway
    assert key_ring(secret(vault)) == rings[0]
    assert len(vault.versions["/v1/secret/data/dominion"]) == 1


def test_a_vault_that_refuses_is_told_and_the_token_is_not(vault: VaultServer) -> None:
    for one in (secret(vault, token="hvs.canary-other"), secret(vault, path="other/dominion")):
        with pytest.raises(ConfigProblem, match=r"cannot be read \(Forbidden\)") as caught:
            key_ring(one)
        assert "canary" not in caught.value.message + caught.value.action
    vault.sealed = True
    with pytest.raises(ConfigProblem, match=r"cannot be read \(VaultDown\)"):
        key_ring(secret(vault))
    assert vault.versions == {}


def test_a_vault_that_is_not_there_is_told() -> None:
    with VaultServer() as gone:
        place = secret(gone)
    with pytest.raises(ConfigProblem, match=r"cannot be read \(ConnectionError\)"):
        key_ring(place)


@pytest.mark.parametrize("vault", [NO_VAULT, Vault("http://v", "", "a/b"), Vault("http://v", "t", "a")], ids=repr)
def test_a_vault_without_address_token_or_path_is_refused(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(ConfigProblem, match="VAULT_ADDR, VAULT_TOKEN or DOMINION_VAULT_PATH"):
        key_place("vault", tmp_path / "sealing.key", "", vault)


@pytest.mark.parametrize(("source", "package"), [("keyring", "keyring"), ("vault", "hvac")])
def test_without_the_extra_a_sentence_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigProblem, match=f"package {package} is not installed") as caught:
        key_place(source, tmp_path / "sealing.key", "", Vault("http://v", "t", "a/b"))
    assert f"dominion-gateway[{source}]" in caught.value.action


def test_each_source_has_its_place(tmp_path: Path, shelf: ShelfKeyring) -> None:
    file = tmp_path / "sealing.key"
    assert key_ring(key_place("environment", file, FIRST, NO_VAULT)).root == bytes.fromhex(FIRST)
    assert not file.exists()
    assert isinstance(key_place("keyring", file, FIRST, NO_VAULT), SystemKeyring)
    key_ring(key_place("file", file, FIRST, NO_VAULT))
    assert (file.exists(), shelf.kept) == (True, {})
    assert repr(Vault("http://v", TOKEN, "a/b")) == "Vault('http://v', 'a/b')"
