"""credentials/google_jwt.py: assertions that Google's own library accepts, and key files that are refused politely."""

import base64
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dominion.credentials.google_jwt import AuthorizedUser, ServiceAccount, read_key_file

NOW = 1_767_571_200.0
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY) -> str:
    """A key as Google's files hold it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_file(**changes: Any) -> dict[str, Any]:
    """The key file of a made-up service account."""
    return {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "kid-1",
        "private_key": pem(),
        "client_email": "svc@my-project.iam.gserviceaccount.com",
        "client_id": "1234",
        "token_uri": "https://oauth2.googleapis.com/token",
    } | changes


USER = {
    "type": "authorized_user",
    "client_id": "id.apps",
    "client_secret": "CANARY-secret",
    "refresh_token": "1//CANARY",
    "quota_project_id": "billed",
}


def read(file: dict[str, Any]) -> ServiceAccount | AuthorizedUser:
    """Out of the JSON."""
    return read_key_file(json.dumps(file).encode())


def unpacked(part: str) -> Any:
    """A part of a JWT."""
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_the_assertion_has_googles_header_and_claims_and_its_signature_holds() -> None:
    account = read(key_file())
    assert isinstance(account, ServiceAccount)
    assert account.project == "my-project"
    head, claims, signature = account.assertion(NOW).split(".")
    assert unpacked(head) == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    assert unpacked(claims) == {
        "iss": "svc@my-project.iam.gserviceaccount.com",
        "aud": "https://oauth2.googleapis.com/token",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "iat": 1767571200,
        "exp": 1767574800,
    }
    given = base64.urlsafe_b64decode(signature + "==")
    KEY.public_key().verify(given, f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(given, f"{head}.{claims}x".encode(), PKCS1v15(), SHA256())


def test_googles_own_library_accepts_the_assertion_and_makes_the_same() -> None:
    jwt: Any = pytest.importorskip(
        "google.auth.jwt", reason="google-auth is not installed; it is the independent reader"
    )
    crypt: Any = pytest.importorskip("google.auth.crypt")
    account = read(key_file())
    assert isinstance(account, ServiceAccount)
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    token = account.assertion(NOW)
    claims = unpacked(token.split(".")[1])
    assert crypt.verify_signature(
        token.rpartition(".")[0].encode(), base64.urlsafe_b64decode(token.rpartition(".")[2] + "=="), [public]
    )
    signer = crypt.RSASigner.from_string(pem(), "kid-1")
    theirs = jwt.encode(signer, claims, header={"typ": "JWT"}).decode()
    ours, yours = (value.split(".") for value in (token, theirs))
    assert [unpacked(part) for part in ours[:2]] == [unpacked(part) for part in yours[:2]]
    assert jwt.decode(theirs, verify=False) == jwt.decode(token, verify=False)


def test_a_persons_sign_in_asks_with_its_refresh_token() -> None:
    user = read(USER)
    assert user.grant(NOW) == {
        "grant_type": "refresh_token",
        "client_id": "id.apps",
        "client_secret": "CANARY-secret",
        "refresh_token": "1//CANARY",
    }
    assert user.project == "billed"
    assert user.token_uri == "https://oauth2.googleapis.com/token"
    assert "CANARY" not in repr(user)


def test_a_service_account_asks_with_its_assertion_and_shows_no_key() -> None:
    account = read(key_file())
    grant = account.grant(NOW)
    assert grant["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert grant["assertion"].count(".") == 2
    assert repr(account) == "ServiceAccount('svc@my-project.iam.gserviceaccount.com')"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (key_file(private_key="CANARY"), "cannot be read"),
        (key_file(private_key=pem(ec.generate_private_key(ec.SECP256R1()))), "not an RSA key"),
        (key_file(private_key=""), "no private_key"),
        (key_file(client_email=""), "no client_email"),
        ({**USER, "refresh_token": ""}, "no refresh_token"),
        ({"type": "external_account", "x": "CANARY"}, "other types are not supported"),
        ({"type": 5}, "not a Google key file"),
    ],
)
def test_a_key_file_that_cannot_serve_is_refused_without_being_quoted(file: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        read(file)
    assert "CANARY" not in str(caught.value)
