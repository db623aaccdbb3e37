"""credentials/sigv4.py: AWS's published test suite, and AWS's own library over made-up requests."""

import calendar
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.credentials.sigv4 import AwsKeys, Signer, canonical_path, signing_key

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = AwsKeys("AKIDEXAMPLE", SECRET)
NOW = float(calendar.timegm((2015, 8, 30, 12, 36, 0)))
SESSION = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthA"
    "x7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY"
    "9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)


def suite(keys: AwsKeys = KEYS, content_type: str = "") -> Signer:
    """As the published suite signs."""
    return Signer(keys, "us-east-1", "example.amazonaws.com", service="service", content_type=content_type)


@pytest.mark.promise("004-103")
@pytest.mark.parametrize(
    ("signer", "path", "body", "names", "signature"),
    [
        pytest.param(
            suite(),
            b"/",
            b"",
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            id="post-vanilla",
        ),
        pytest.param(
            suite(),
            b"/?Param1=value1",
            b"",
            "host;x-amz-date",
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
            id="post-vanilla-query",
        ),
        pytest.param(
            suite(content_type="application/x-www-form-urlencoded"),
            b"/",
            b"Param1=value1",
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            id="post-x-www-form-urlencoded",
        ),
        pytest.param(
            suite(content_type="application/x-www-form-urlencoded; charset=utf8"),
            b"/",
            b"Param1=value1",
            "content-type;host;x-amz-date",
            "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
            id="post-x-www-form-urlencoded-parameters",
        ),
        pytest.param(
            suite(AwsKeys("AKIDEXAMPLE", SECRET, SESSION)),
            b"/",
            b"",
            "host;x-amz-date;x-amz-security-token",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            id="post-sts-header-before",
        ),
    ],
)
def test_the_signatures_of_the_published_suite_come_out(
    signer: Signer, path: bytes, body: bytes, names: str, signature: str
) -> None:
    lines = signer.sign(path, body, NOW).decode().split("\r\n")
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    assert lines[:2] == ["x-amz-date: 20150830T123600Z", f"authorization: {signed}"]
    assert lines[2:] == ([f"x-amz-security-token: {SESSION}", ""] if "token" in names else [""])


def test_the_signing_key_is_the_one_that_aws_prints_in_its_manual() -> None:
    key = signing_key(SECRET, "20150830", "us-east-1", "iam", "aws4_request")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/model/anthropic.claude-3%3A0/converse", "/model/anthropic.claude-3%253A0/converse"),
        ("/model/anthropic.claude-3:0/converse", "/model/anthropic.claude-3%3A0/converse"),
        ("/model/arn%3Aaws%3Abedrock%2Fx/invoke", "/model/arn%253Aaws%253Abedrock%252Fx/invoke"),
        ("", "/"),
        ("//example//", "/example/"),
        ("/./example", "/example"),
        ("/example/..", "/"),
    ],
)
def test_the_path_is_encoded_once_more_than_on_the_wire(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical


def test_the_key_of_a_new_day_is_derived_anew() -> None:
    signer = suite()
    first = signer.sign(b"/", b"", NOW)
    assert signer.sign(b"/", b"", NOW + 86_400) == suite().sign(b"/", b"", NOW + 86_400)
    assert signer.sign(b"/", b"", NOW) == first


@pytest.mark.parametrize(
    "keys", [AwsKeys("", SECRET), AwsKeys("AKID", ""), AwsKeys("AK\r\nx: y", SECRET), AwsKeys("AKID", SECRET, "to ken")]
)
def test_keys_that_cannot_stand_in_a_header_are_refused_without_being_repeated(keys: AwsKeys) -> None:
    with pytest.raises(ValueError, match="AWS") as caught:
        suite(keys)
    assert SECRET not in f"{caught.value}{keys!r}"
    assert "to ken" not in f"{caught.value}{keys!r}"


def test_a_region_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not an AWS region"):
        Signer(KEYS, "us-east-1/x", "h")


def of_botocore(keys: AwsKeys, url: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What AWS's own library adds to the same request at the same time."""
    auth: Any = pytest.importorskip("botocore.auth", reason="botocore is not installed; it is the independent signer")
    awsrequest: Any = pytest.importorskip("botocore.awsrequest")
    at = SimpleNamespace(strftime=lambda _: "20150830T123600Z")
    monkeypatch.setattr(auth, "get_current_datetime", lambda: at)
    request = awsrequest.AWSRequest("POST", url, data=body, headers={"content-type": "application/json"})
    auth.SigV4Auth(
        SimpleNamespace(access_key=keys.access_key, secret_key=keys.secret_key, token=keys.session_token),
        "bedrock",
        "eu-central-1",
    ).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items() if name.lower() != "content-type"}


PATHS = [
    "/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/converse",
    "/model/anthropic.claude-3-5-sonnet-20241022-v2:0/converse-stream",
    "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile%2Fx/invoke",
    "/model/a%20b~c_d/invoke?b=2&a=1&a=0&c",
    "/a//b/../c/./d/",
    "/",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", SESSION])
@pytest.mark.parametrize("body", [b"", b'{"messages":[]}', bytes(range(256))])
def test_awss_own_library_signs_the_same(path: str, token: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = AwsKeys("AKIDEXAMPLE", SECRET, token)
    host = "bedrock-runtime.eu-central-1.amazonaws.com"
    expected = of_botocore(keys, f"https://{host}{path}", body, monkeypatch)
    lines = Signer(keys, "eu-central-1", host).sign(path.encode(), body, NOW).decode().splitlines()
    assert dict(line.split(": ", 1) for line in lines) == expected


@given(
    st.lists(st.sampled_from(["a", ".", "..", "", "b%2Fc", ":", "é~"]), max_size=6).map(
        lambda parts: "/" + "/".join(parts)
    )
)
def test_awss_own_library_makes_the_same_of_any_path(path: str) -> None:
    auth: Any = pytest.importorskip("botocore.auth", reason="botocore is not installed; it is the independent signer")
    assert canonical_path(path) == auth.SigV4Auth(None, "bedrock", "x")._normalize_url_path(path)
