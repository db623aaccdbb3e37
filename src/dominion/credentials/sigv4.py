"""AWS Signature Version 4 for one POST. Pure; must never log or print a key.

Source: AWS, "Create a signed AWS API request", for services other than S3: the path is encoded once more than on the
wire and its dot segments are resolved.
"""

import hmac
import re
import time
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import quote

import msgspec

_VISIBLE = re.compile(r"[!-~]*")
_REGION = re.compile(r"[a-z0-9-]{1,40}")


class AwsKeys(msgspec.Struct, frozen=True):
    """What signs. `session_token` only for temporary keys."""

    access_key: str
    secret_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return f"AwsKeys({self.access_key[:4]}***)"


class Signer:
    """Signs for one service in one region with one set of keys, and remembers the key of the day.

    `host` and `content_type` are signed as the header lines say them; an empty `content_type` is not signed.
    """

    def __init__(
        self,
        keys: AwsKeys,
        region: str,
        host: str,
        *,
        service: str = "bedrock",
        content_type: str = "application/json",
    ) -> None:
        """Raises ValueError, which never holds a key, for keys or a region that cannot stand in a header."""
        if not keys.access_key or not keys.secret_key:
            raise ValueError("the AWS access key or the secret key is empty")
        if not _VISIBLE.fullmatch(keys.access_key + keys.session_token):
            raise ValueError("the AWS keys hold a space, a control character or a character outside ASCII")
        if not _REGION.fullmatch(region):
            raise ValueError(f"{region!r} is not an AWS region")
        self._keys = keys
        self._service = (region, service, "aws4_request")
        self._signed = {"host": host}
        if content_type:
            self._signed["content-type"] = content_type
        if keys.session_token:
            self._signed["x-amz-security-token"] = keys.session_token
        self._day = ""
        self._key = b""

    def sign(self, path: bytes, body: bytes, now: float) -> bytes:
        """The header lines, each ended by CRLF, for a POST of `body` to `path` (with its query, as on the wire).

        `now` in epoch seconds; AWS refuses what is more than five minutes off.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        signed = dict(sorted({**self._signed, "x-amz-date": stamp}.items()))
        names = ";".join(signed)
        request = canonical_request(path, signed.items(), names, sha256(body).hexdigest())
        scope = "/".join((stamp[:8], *self._service))
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key_of(stamp[:8]), text.encode(), "sha256").hex()
        token = self._keys.session_token
        lines = (
            f"x-amz-date: {stamp}\r\n"
            f"authorization: AWS4-HMAC-SHA256 Credential={self._keys.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}\r\n"
        )
        return (lines + (f"x-amz-security-token: {token}\r\n" if token else "")).encode("ascii")

    def _key_of(self, day: str) -> bytes:
        if day != self._day:
            self._key = signing_key(self._keys.secret_key, day, *self._service)
            self._day = day
        return self._key


def signing_key(secret_key: str, *scope: str) -> bytes:
    """The key for one day (YYYYMMDD), region and service, the parts of the scope in this order."""
    key = f"AWS4{secret_key}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical_request(path: bytes, headers: Iterable[tuple[str, str]], names: str, digest: str) -> str:
    """The text whose hash is signed; `headers` lower-case and in order, `digest` that of the body in hex."""
    address, _, query = path.decode("ascii").partition("?")
    lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in headers)
    return f"POST\n{canonical_path(address)}\n{_canonical_query(query)}\n{lines}\n{names}\n{digest}"


def canonical_path(path: str) -> str:
    """The path as on the wire, its dot segments and doubled slashes resolved, encoded once more."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    end = "/" if kept and path.endswith("/") else ""
    return quote(f"/{'/'.join(kept)}{end}", safe="/~")


def _canonical_query(query: str) -> str:
    """Sorted by name, then by value; encoded as they are on the wire."""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if pair)
    return "&".join(f"{name}={value}" for name, value in pairs)
