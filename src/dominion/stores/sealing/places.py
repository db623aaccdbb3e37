"""Other places for the sealing keys than a file: the environment, the system's keyring, HashiCorp Vault.

The libraries of the last two are extras, imported only when one is chosen. No error repeats a key or a token.
"""

from pathlib import Path
from typing import Any, NamedTuple

from dominion.domain.errors import ConfigProblem
from dominion.stores.sealing.keys import KeyFile, KeyPlace

VARIABLE = "DOMINION_SEALING_KEY"
SERVICE, ACCOUNT = "dominion", "sealing-key"
FIELD = "sealing_key"
VAULT_SECONDS = 10
MISSING_CAS = 0
"""For Vault: write only if there is nothing yet."""


class Vault(NamedTuple):
    """Where HashiCorp Vault is. `path`: the mount of a KV engine of version 2, a slash, and the secret's own path."""

    address: str
    token: str
    path: str

    def __repr__(self) -> str:
        return f"Vault({self.address!r}, {self.path!r})"


def key_place(source: str, file: Path, environment: str, vault: Vault) -> KeyPlace:
    """The place of a source (file, environment, keyring, vault). Raises ConfigProblem.

    `environment` is the value of DOMINION_SEALING_KEY.
    """
    if source == "environment":
        return KeyVariable(environment)
    if source == "keyring":
        return SystemKeyring()
    if source == "vault":
        return VaultSecret(vault)
    return KeyFile(file)


class KeyVariable:
    """The environment: whoever starts the gateway keeps the keys."""

    name = VARIABLE

    def __init__(self, value: str) -> None:
        """Of the variable."""
        self._value = value

    def read(self) -> str | None:
        """Commas separate versions, too."""
        if not self._value:
            raise ConfigProblem(
                f"{VARIABLE} is not set.", action="Set it to 64 hex digits, such as `openssl rand -hex 32` prints."
            )
        return self._value.replace(",", " ")

    def replace(self, _before: str | None, text: str) -> bool:
        """Raises ConfigProblem: nobody can change the environment of the next start from here."""
        raise ConfigProblem(
            f"The sealing keys are in {VARIABLE}, which only its owner can change.",
            action=f"Set it to {len(text.split())} keys and start again: <first>,2:<second> and so on.",
        )


class SystemKeyring:
    """The keyring of the operating system, by the package `keyring`. Two gateways of one account share a key."""

    name = "the system's keyring"

    def __init__(self) -> None:
        """Raises ConfigProblem when there is none that keeps secrets."""
        try:
            import keyring  # noqa: PLC0415
            import keyring.errors  # noqa: PLC0415
        except ImportError as error:
            raise _extra("keyring", "keyring") from error
        if keyring.get_keyring().priority < 1:
            raise ConfigProblem(
                "This system has no keyring that keeps secrets.", action="Keep the sealing key in a file instead."
            )
        self._keyring = keyring
        self._error = keyring.errors.KeyringError

    def read(self) -> str | None:
        """Raises ConfigProblem when it is locked."""
        try:
            return self._keyring.get_password(SERVICE, ACCOUNT)
        except self._error as error:
            raise self._refused("read", error) from error

    def replace(self, before: str | None, text: str) -> bool:
        """Keyrings cannot compare and write in one step: rotate from one place at a time."""
        if self.read() != before:
            return False
        try:
            self._keyring.set_password(SERVICE, ACCOUNT, text)
        except self._error as error:
            raise self._refused("written", error) from error
        return True

    def _refused(self, done: str, error: Exception) -> ConfigProblem:
        return ConfigProblem(f"The system's keyring cannot be {done} ({type(error).__name__}).", action="Unlock it.")


class VaultSecret:
    """A secret of HashiCorp Vault's KV engine, version 2, by the package `hvac`. Writes compare versions there."""

    def __init__(self, vault: Vault) -> None:
        """Raises ConfigProblem when the address, the token or the path is missing."""
        self._mount, _, self._path = vault.path.strip("/").partition("/")
        if not vault.address or not vault.token or not self._path:
            raise ConfigProblem(
                "The sealing key is to be kept in Vault, and VAULT_ADDR, VAULT_TOKEN or DOMINION_VAULT_PATH is not set."
            )
        try:
            import hvac  # type: ignore[import-untyped]  # noqa: PLC0415
            import requests  # noqa: PLC0415
        except ImportError as error:
            raise _extra("vault", "hvac") from error
        self.name = f"Vault at {vault.address}, {self._mount}/{self._path}"
        client = hvac.Client(url=vault.address, token=vault.token, timeout=VAULT_SECONDS, allow_redirects=False)
        self._secrets: Any = client.secrets.kv.v2
        self._nothing = hvac.exceptions.InvalidPath
        self._stale = hvac.exceptions.InvalidRequest
        self._errors = (hvac.exceptions.VaultError, requests.RequestException, ValueError, KeyError, TypeError)

    def read(self) -> str | None:
        """The field `sealing_key`."""
        return self._read()[0]

    def replace(self, before: str | None, text: str) -> bool:
        """Other fields of the secret are kept."""
        found, version, fields = self._read()
        if found != before:
            return False
        try:
            self._secrets.create_or_update_secret(
                self._path, {**fields, FIELD: text}, cas=version, mount_point=self._mount
            )
        except self._stale:
            return False
        except self._errors as error:
            raise self._refused("written", error) from error
        return True

    def _read(self) -> tuple[str | None, int, dict[str, str]]:
        """The text, the version of the secret, all of its fields."""
        try:
            answer = self._secrets.read_secret_version(
                self._path, mount_point=self._mount, raise_on_deleted_version=True
            )["data"]
            return answer["data"].get(FIELD), answer["metadata"]["version"], answer["data"]
        except self._nothing:
            return None, MISSING_CAS, {}
        except self._errors as error:
            raise self._refused("read", error) from error

    def _refused(self, done: str, error: Exception) -> ConfigProblem:
        return ConfigProblem(
            f"{self.name} cannot be {done} ({type(error).__name__}).",
            action="Check VAULT_ADDR, the token and its policy, and that Vault is unsealed.",
        )


def _extra(extra: str, package: str) -> ConfigProblem:
    return ConfigProblem(
        f"The Python package {package} is not installed.", action=f"Run: pip install 'dominion-gateway[{extra}]'"
    )
