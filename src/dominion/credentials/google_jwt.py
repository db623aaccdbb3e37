"""Google's key files, and how each asks for an access token. Pure; must never log or print a key.

Source: Google, "Using OAuth 2.0 for server to server applications"; RFC 7515, 7523.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dominion.credentials.oauth import base64url

TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME = 3600
"""Seconds; the longest that Google takes."""


class ServiceAccount(msgspec.Struct, frozen=True):
    """A service account with its private key."""

    email: str
    key_id: str
    token_uri: str
    project: str
    key: RSAPrivateKey

    def __repr__(self) -> str:
        return f"ServiceAccount({self.email!r})"

    def grant(self, now: float) -> dict[str, str]:
        """The form that asks for an access token; `now` in epoch seconds."""
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self.assertion(now)}

    def assertion(self, now: float) -> str:
        """The signed JWT."""
        issued = int(now)
        head = {"alg": "RS256", "typ": "JWT", **({"kid": self.key_id} if self.key_id else {})}
        claims = {"iss": self.email, "aud": self.token_uri, "scope": SCOPE, "iat": issued, "exp": issued + LIFETIME}
        text = f"{_part(head)}.{_part(claims)}"
        return f"{text}.{base64url(self.key.sign(text.encode(), PKCS1v15(), SHA256()))}"


class AuthorizedUser(msgspec.Struct, frozen=True):
    """A person's sign-in, as `gcloud auth application-default login` keeps it."""

    client_id: str
    client_secret: str
    refresh_token: str
    token_uri: str
    project: str

    def __repr__(self) -> str:
        return f"AuthorizedUser({self.client_id!r})"

    def grant(self, _now: float) -> dict[str, str]:
        """The form that asks for an access token."""
        return {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
        }


class _File(msgspec.Struct):
    type: str = ""
    client_email: str = ""
    private_key: str = ""
    private_key_id: str = ""
    project_id: str = ""
    quota_project_id: str = ""
    token_uri: str = ""
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""


def read_key_file(data: bytes) -> ServiceAccount | AuthorizedUser:
    """What a key file holds. `project` is empty where the file names none.

    Raises ValueError, the rest of a sentence that begins with the file and quotes nothing of it. Checking the key
    takes tens of milliseconds.
    """
    try:
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("is not a Google key file in JSON") from None
    uri = file.token_uri or TOKEN_URI
    if file.type == "service_account":
        if not file.client_email or not file.private_key:
            raise ValueError("has no client_email or no private_key")
        return ServiceAccount(file.client_email, file.private_key_id, uri, file.project_id, _key(file.private_key))
    if file.type == "authorized_user":
        if not (file.client_id and file.client_secret and file.refresh_token):
            raise ValueError("has no client_id, no client_secret or no refresh_token")
        return AuthorizedUser(
            file.client_id, file.client_secret, file.refresh_token, uri, file.quota_project_id or file.project_id
        )
    raise ValueError("is neither the key of a service account nor an authorized user; other types are not supported")


def _key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("has a private_key that cannot be read") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("has a private_key that is not an RSA key")  # noqa: TRY004 - the file is wrong, not the program
    return key


def _part(value: Mapping[str, Any]) -> str:
    return base64url(msgspec.json.encode(value))
