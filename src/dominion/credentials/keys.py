"""Callers' keys: minted, hashed for rest with argon2id, and compared by a keyed digest while the gateway runs.

A key is `dom_<id>_<secret>`. The id finds the row; the secret has 256 random bits, so it cannot be guessed from either
record: argon2id is the record at rest, the keyed digest (useless without the gateway's sealing key) makes a wrong
secret cost half a microsecond instead of an argon2 run.
"""

import hmac
import secrets
from hashlib import blake2b

import argon2
import msgspec

PREFIX = "dom_"
LONGEST_KEY = 200
OWASP_MINIMUM = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=16, hash_len=32, time_cost=2, memory_cost=19_456, parallelism=1
)
"""19 MiB, two passes, one lane: about 26 ms. More would defend a weak password; these secrets are not weak."""


class Minted(msgspec.Struct, frozen=True):
    """A new key. `plain` is shown once and kept nowhere."""

    id: str
    plain: str = msgspec.field()

    def __repr__(self) -> str:
        return f"Minted(id={self.id!r}, plain=***)"


def mint() -> Minted:
    """A new key from the system's randomness."""
    key_id = secrets.token_hex(8)
    return Minted(key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}")


def split(token: str) -> tuple[str, str] | None:
    """The id and the secret of a key, or None when it does not look like one."""
    if not token.startswith(PREFIX) or len(token) > LONGEST_KEY:
        return None
    key_id, _, secret = token[len(PREFIX) :].partition("_")
    return (key_id, secret) if key_id and secret else None


class KeyHasher:
    """Hashes and compares secrets. `pepper` is 32 bytes derived from the gateway's sealing key."""

    def __init__(self, pepper: bytes, parameters: argon2.Parameters = OWASP_MINIMUM) -> None:
        self._pepper = pepper
        self._argon2 = argon2.PasswordHasher.from_parameters(parameters)

    def digest(self, secret: str) -> bytes:
        """The keyed digest: 32 bytes of BLAKE2b."""
        return blake2b(secret.encode(), digest_size=32, key=self._pepper).digest()

    def same(self, secret: str, digest: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.digest(secret), digest)

    def hash(self, secret: str) -> str:
        """The argon2id record for rest. Takes tens of milliseconds: run it in a thread."""
        return self._argon2.hash(secret)

    def verify(self, record: str, secret: str) -> bool:
        """Check a secret against its argon2id record. Takes tens of milliseconds: run it in a thread."""
        try:
            return self._argon2.verify(record, secret)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def derive(sealing_key: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose (at most 16 ASCII characters) from the sealing key."""
    return blake2b(digest_size=32, key=sealing_key, person=purpose.encode()).digest()


def mint_token() -> str:
    """A new admin token."""
    return f"adm_{secrets.token_urlsafe(32)}"
