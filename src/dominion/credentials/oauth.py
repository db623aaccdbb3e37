"""OAuth 2 as token endpoints speak it: forms out, JSON answers in (RFC 6749, 7636, 8628). Pure; quotes no token."""

import base64
import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlencode

import msgspec

FORM_HEADERS: Mapping[str, str] = MappingProxyType(
    {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
)
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

_LONGEST_COMPLAINT = 200
_SHORTEST_SECRET = 8


class TokenAnswer(msgspec.Struct, frozen=True):
    """What a token or device endpoint answered; empty where it said nothing. Times in seconds."""

    access_token: str = ""
    refresh_token: str = ""
    token_type: str = ""
    resource_url: str = ""
    expires_in: float | None = None
    device_code: str = ""
    user_code: str = ""
    verification_uri: str = ""
    verification_uri_complete: str = ""
    interval: float | None = None
    error: str = ""
    error_description: str = ""

    def __repr__(self) -> str:
        return f"TokenAnswer(error={self.error!r})"

    def lasts(self, default: float) -> float:
        """For how many seconds the token or the code is good."""
        given = self.expires_in
        return default if given is None or not math.isfinite(given) else max(0.0, given)


def form(fields: Mapping[str, str]) -> bytes:
    """The body of a request."""
    return urlencode(fields).encode("ascii")


def read_answer(body: bytes) -> TokenAnswer:
    """Raises ValueError, which quotes nothing of the body, when it is not a JSON object of this kind."""
    try:
        # Not strict: some servers write numbers as text. Nulls are as good as nothing.
        found = msgspec.json.decode(body, type=dict[str, object])
        return msgspec.convert(
            {name: each for name, each in found.items() if each is not None}, TokenAnswer, strict=False
        )
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("it is not the JSON of a token endpoint") from None


def complaint(answer: TokenAnswer, sent: Mapping[str, str]) -> str:
    """Why the endpoint refused, for a person: its code and its sentence, unless that repeats what was `sent`."""
    told = answer.error_description
    if any(len(value) >= _SHORTEST_SECRET and value in told + answer.error for value in sent.values()):
        return "its reason repeats a secret and is not shown"
    text = ": ".join(filter(None, (answer.error, told))) or "it gave no reason"
    return "".join(each if each.isprintable() else " " for each in text[:_LONGEST_COMPLAINT]).rstrip(". ")


def pkce(random: bytes) -> tuple[str, str]:
    """The verifier of 32 random bytes, and its S256 challenge."""
    verifier = base64url(random)
    return verifier, base64url(hashlib.sha256(verifier.encode()).digest())


def base64url(data: bytes) -> str:
    """Without padding, as JOSE and PKCE write it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
