"""Seals credentials for rest; pure, and must never put a plain text or a key into an error or a `repr`.

Each record is AES-256-GCM under a random data key of its own, which is sealed under a version of the sealing key. Both
are bound to owner, name, origin and version, so a row that was moved or changed does not open. `cryptography` takes
tens of milliseconds to import: whoever wires this module imports it when there is a credential to seal or to open.
"""

import os
from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace

from dominion.credentials.keys import derive
from dominion.domain.errors import ConfigProblem
from dominion.domain.registry import SealedCredential

FORMAT = b"\x01"
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
HEAD_BYTES = len(FORMAT) + NONCE_BYTES + KEY_BYTES + TAG_BYTES + NONCE_BYTES
SHORTEST_SHOWN = 12
"""Of a shorter credential the last four characters would tell too much."""


class Sealer:
    """Seals under one version of the sealing key and opens what any of `keys` (32 bytes each) has sealed.

    A record: the format (1 byte), the nonce of the data key (12), the sealed data key (48), the nonce of the text (12),
    the sealed text with its tag.
    """

    def __init__(self, keys: Mapping[int, bytes], current: int, random: Callable[[int], bytes] = os.urandom) -> None:
        self._keys = {version: AESGCM(derive(key, "credentials")) for version, key in keys.items()}
        self._random = random
        self.current = current

    def __repr__(self) -> str:
        return f"Sealer(versions={sorted(self._keys)}, current={self.current})"

    def knows(self, version: int) -> bool:
        """Whether this version of the sealing key is at hand; another process may have added one."""
        return version in self._keys

    def seal(self, owner: str, name: str, origin: str, plain: str, at: int) -> SealedCredential:
        """The row to keep; `at` (epoch seconds) becomes its `created_at`."""
        bound = _bound(owner, name, origin, self.current)
        key, key_nonce, nonce = self._random(KEY_BYTES), self._random(NONCE_BYTES), self._random(NONCE_BYTES)
        sealed_key = self._keys[self.current].encrypt(key_nonce, key, bound)
        text = AESGCM(key).encrypt(nonce, plain.encode(), bound)
        sealed = b"".join((FORMAT, key_nonce, sealed_key, nonce, text))
        return SealedCredential(owner, name, origin, sealed, self.current, last4(plain), at)

    def open(self, credential: SealedCredential) -> str:
        """The plain text. Raises ConfigProblem when the key is not there or the row is not as it was sealed."""
        record, version = credential.sealed, credential.key_version
        if version not in self._keys:
            raise _closed(credential, f"version {version} of the sealing key is not there")
        bound = _bound(credential.owner, credential.name, credential.origin, version)
        rest = record[len(FORMAT) : HEAD_BYTES]
        key_nonce, sealed_key, nonce = rest[:NONCE_BYTES], rest[NONCE_BYTES:-NONCE_BYTES], rest[-NONCE_BYTES:]
        try:
            if len(record) < HEAD_BYTES + TAG_BYTES or not record.startswith(FORMAT):
                raise InvalidTag
            key = self._keys[version].decrypt(key_nonce, sealed_key, bound)
            return AESGCM(key).decrypt(nonce, record[HEAD_BYTES:], bound).decode()
        except InvalidTag:
            raise _closed(credential, "the sealing key is another one, or the row was changed") from None

    def reseal(self, credential: SealedCredential) -> SealedCredential:
        """The same credential under the current version, with a new data key; as it is when it is there already.

        Raises as `open`.
        """
        if credential.key_version == self.current:
            return credential
        anew = self.seal(
            credential.owner, credential.name, credential.origin, self.open(credential), credential.created_at
        )
        return replace(anew, last4=credential.last4)


def last4(plain: str) -> str:
    """What people may see of a credential: its last four characters, or nothing of a short one."""
    return plain[-4:] if len(plain) >= SHORTEST_SHOWN else ""


def _bound(*parts: str | int) -> bytes:
    """What a record is bound to, each part behind its length, so that no two rows say the same."""
    encoded = [str(part).encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _closed(credential: SealedCredential, reason: str) -> ConfigProblem:
    return ConfigProblem(
        f"The credential {credential.name!r} of {credential.owner!r} cannot be opened: {reason}.",
        action="Restore the sealing key that it was sealed with, or enter the credential again.",
    )
