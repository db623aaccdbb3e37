"""services/sign_in/vertex.py against an emulated token endpoint of Google."""

import asyncio
import json
from typing import Any

import pytest

from dominion.credentials.google_jwt import AuthorizedUser, ServiceAccount, read_key_file
from dominion.domain.errors import ConfigProblem, InvalidCredentials, ProviderUnavailable, UnexpectedResponse
from dominion.services.sign_in.vertex import VertexAuthority
from tests.credentials.test_google_jwt import USER, key_file
from tests.services.sign_in.emulator import Answer, Asked, saying, scene


def granted(number: int = 1, **changes: Any) -> Answer:
    """As Google answers."""
    return 200, {"access_token": f"ya29.CANARY{number}", "expires_in": 3599, "token_type": "Bearer"} | changes


def key(url: str, **changes: Any) -> ServiceAccount | AuthorizedUser:
    """A service account whose tokens come from the emulator."""
    return read_key_file(json.dumps(key_file(token_uri=f"{url}/token", **changes)).encode())


def user(url: str, **changes: Any) -> ServiceAccount | AuthorizedUser:
    """A person's sign-in."""
    return read_key_file(json.dumps(USER | {"token_uri": f"{url}/token"} | changes).encode())


async def test_a_service_account_gets_one_token_for_fifty_requests_by_its_signed_assertion() -> None:
    async with scene(saying(granted())) as at:
        account = key(at.endpoint.url)
        vertex = VertexAuthority(account, at.ask, at.clock)
        lines = await asyncio.gather(*(vertex.headers(b"/v1/x", b"{}") for _ in range(50)))
    assert set(lines) == {b"authorization: Bearer ya29.CANARY1\r\n"}
    (asked,) = at.endpoint.asked
    assert asked.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert isinstance(account, ServiceAccount)
    assert asked.form["assertion"] == account.assertion(at.clock.now())
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_token_is_renewed_before_it_dies_and_the_new_assertion_has_the_new_time() -> None:
    async with scene(saying(granted(1), granted(2), granted(3))) as at:
        vertex = VertexAuthority(key(at.endpoint.url), at.ask, at.clock)
        await vertex.headers(b"/", b"")
        at.clock.move(3599 - 226)
        assert b"CANARY1" in await vertex.headers(b"/", b"")
        assert len(at.endpoint.asked) == 1
        at.clock.move(1000)
        assert b"CANARY2" in await vertex.headers(b"/", b"")
        assert at.endpoint.asked[0].form["assertion"] != at.endpoint.asked[1].form["assertion"]
        at.clock.move(20)
        vertex.refused()
        assert b"CANARY3" in await vertex.headers(b"/", b"")


async def test_a_persons_sign_in_is_refreshed_and_names_the_project_to_charge() -> None:
    async with scene(saying(granted())) as at:
        lines = await VertexAuthority(user(at.endpoint.url), at.ask, at.clock).headers(b"/", b"")
    assert lines == b"authorization: Bearer ya29.CANARY1\r\nx-goog-user-project: billed\r\n"
    assert at.endpoint.asked[0].form["refresh_token"] == "1//CANARY"
    with pytest.raises(ConfigProblem, match="cannot be sent"):
        VertexAuthority(user(at.endpoint.url, quota_project_id="a\r\nb: c"), at.ask, at.clock)


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        ((400, {"error": "invalid_grant", "error_description": "Invalid JWT"}), InvalidCredentials, "Invalid JWT"),
        ((401, {"error": "invalid_client"}), InvalidCredentials, "invalid_client"),
        ((400, {"error": "invalid_grant", "error_description": "no 1//CANARY"}), InvalidCredentials, "not shown"),
        ((500, b""), ProviderUnavailable, "could not"),
        (granted(access_token="a b"), UnexpectedResponse, "cannot be used"),
        ((200, b"<html>"), UnexpectedResponse, "is wrong"),
        ((200, {}), InvalidCredentials, "no reason"),
    ],
)
async def test_a_refusal_is_told_with_googles_reason_and_without_a_secret(
    answer: Answer, kind: type[Exception], sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(saying(answer)) as at:
        with pytest.raises(kind, match=sentence) as caught:
            await VertexAuthority(user(at.endpoint.url), at.ask, at.clock).headers(b"/", b"")
    assert "CANARY" not in f"{caught.value}{caught.value.__dict__}{caplog.text}"


async def test_googles_own_library_gets_its_token_from_the_same_endpoint_with_the_same_form() -> None:
    service_account: Any = pytest.importorskip(
        "google.oauth2.service_account", reason="google-auth is not installed; it is the independent client"
    )
    requests: Any = pytest.importorskip("google.auth.transport.requests", reason="requests is not installed")
    forms: list[dict[str, str]] = []

    async def answer(asked: Asked) -> Answer:
        forms.append(asked.form)
        return granted(len(forms))

    async with scene(answer) as at:
        await VertexAuthority(key(at.endpoint.url), at.ask, at.clock).headers(b"/", b"")
        theirs = service_account.Credentials.from_service_account_info(
            key_file(token_uri=f"{at.endpoint.url}/token"), scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        with requests.requests.Session() as session:
            await asyncio.to_thread(theirs.refresh, requests.Request(session))
    assert theirs.token == "ya29.CANARY2"
    assert forms[0].keys() == forms[1].keys()
    assert forms[0]["grant_type"] == forms[1]["grant_type"]
