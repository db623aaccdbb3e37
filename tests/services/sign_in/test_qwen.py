"""services/sign_in/qwen.py against an emulated endpoint whose refresh tokens work once each."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from dominion.credentials.oauth import TokenAnswer, pkce
from dominion.domain.errors import ConfigProblem, InvalidCredentials, ProviderUnavailable
from dominion.services.sign_in.qwen import (
    Credentials,
    QwenAuthority,
    QwenSettings,
    base_url,
    credentials_of,
    device_flow,
    file_text,
    read_file,
)
from dominion.stores.files.tokens import TokenFile
from tests.services.clocks import HandClock
from tests.services.sign_in.emulator import Answer, Asked, Scene, saying, scene

LIFE = 21_600
START = HandClock().now()


class Issuer:
    """Renews like Qwen: each refresh token once."""

    def __init__(self) -> None:
        self.number = 0

    async def answer(self, asked: Asked) -> Answer:
        if asked.form["refresh_token"] != f"refresh-{self.number}":
            return 400, {"error": "invalid_grant", "error_description": f"{asked.form['refresh_token']} was used"}
        self.number += 1
        return 200, {
            "access_token": f"access-{self.number}",
            "refresh_token": f"refresh-{self.number}",
            "expires_in": LIFE,
            "resource_url": "portal.qwen.ai",
        }


@pytest.fixture
async def store(tmp_path: Path) -> TokenFile:
    """Signed in, and good for a while."""
    file = TokenFile(tmp_path / "qwen_credentials.json")
    await file.write(file_text(Credentials("access-0", "refresh-0", START + LIFE, resource_url="portal.qwen.ai")))
    return file


def authority(at: Scene, store: TokenFile) -> QwenAuthority:
    """At the emulator."""
    return QwenAuthority(store, at.ask, at.clock, QwenSettings(host=at.endpoint.url))


async def shown(qwen: QwenAuthority) -> str:
    """The token in the headers."""
    return (await qwen.headers(b"/", b"")).split(b"\r\n")[0].decode().removeprefix("authorization: Bearer ")


async def test_a_kept_token_is_used_without_asking_and_with_qwens_headers(store: TokenFile) -> None:
    async with scene(saying((500, {}))) as at:
        lines = (await authority(at, store).headers(b"/", b"")).decode().splitlines()
    assert at.endpoint.asked == []
    assert lines == [
        "authorization: Bearer access-0",
        "x-dashscope-authtype: qwen-oauth",
        "x-dashscope-useragent: dominion/1",
        "x-dashscope-cachecontrol: enable",
    ]


@pytest.mark.promise("004-074")
async def test_an_old_token_is_renewed_once_for_all_and_kept(store: TokenFile) -> None:
    async with scene(Issuer().answer) as at:
        at.clock.move(LIFE)
        qwen = authority(at, store)
        assert set(await asyncio.gather(*(shown(qwen) for _ in range(50)))) == {"access-1"}
    (asked,) = at.endpoint.asked
    assert asked.path == "/api/v1/oauth2/token"
    assert asked.form == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-0",
        "client_id": "f0304373b74a44d2b584a3fb70ca9e56",
    }
    kept = json.loads(store.path.read_bytes())
    assert (kept["access_token"], kept["refresh_token"]) == ("access-1", "refresh-1")
    assert kept["expires_at"] == START + 2 * LIFE
    assert kept["expiry_date"] == (START + 2 * LIFE) * 1000
    assert store.path.stat().st_mode & 0o777 == 0o600


async def test_two_processes_renew_once_between_them(store: TokenFile) -> None:
    issuer = Issuer()
    async with scene(issuer.answer) as at:
        at.clock.move(LIFE)
        both = [authority(at, TokenFile(store.path, lambda _: asyncio.sleep(0), math.inf)) for _ in range(2)]
        assert await asyncio.gather(*(shown(each) for each in both for _ in range(25))) == ["access-1"] * 50
        assert issuer.number == 1
        at.clock.move(11)
        for each in both:
            each.refused()
        assert await asyncio.gather(*map(shown, both)) == ["access-2"] * 2
        assert issuer.number == 2


async def test_a_dead_refresh_token_is_told_with_the_command_and_without_the_token(store: TokenFile) -> None:
    issuer = Issuer()
    issuer.number = 7
    async with scene(issuer.answer) as at:
        at.clock.move(LIFE)
        qwen = authority(at, store)
        with pytest.raises(InvalidCredentials) as caught:
            await shown(qwen)
        assert "dominion providers login qwen" in caught.value.action
        assert "discontinued" in caught.value.action
        assert "refresh-0" not in caught.value.message
        await store.write(file_text(Credentials("access-9", "refresh-9", at.clock.now() + LIFE)))
        at.clock.move(10)
        assert await shown(qwen) == "access-9"


async def test_the_old_token_serves_on_when_a_renewal_fails(store: TokenFile) -> None:
    async with scene(saying((503, b""))) as at:
        qwen = authority(at, store)
        assert await shown(qwen) == "access-0"
        at.clock.move(LIFE - 30)
        assert await shown(qwen) == "access-0"
        at.clock.move(25)
        with pytest.raises(ProviderUnavailable):
            await shown(qwen)


async def test_a_renewal_that_cannot_be_kept_serves_on_and_the_next_one_uses_it(
    store: TokenFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(_: bytes) -> None:
        raise ConfigProblem("No space left.")

    async with scene(Issuer().answer) as at:
        at.clock.move(LIFE)
        qwen = authority(at, store)
        with monkeypatch.context() as broken:
            broken.setattr(store, "write", full)
            assert await shown(qwen) == "access-1"
        assert "could not be kept: No space left." in caplog.text
        assert "access-1" not in caplog.text
        at.clock.move(LIFE)
        assert await shown(qwen) == "access-2"
    assert read_file(store.path.read_bytes()).refresh_token == "refresh-2"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "nobody is signed in"),
        (b"{}", "the sign-in has ended"),
        (b"CANARY", "damaged"),
        (b'{"access_token":5}', "damaged"),
    ],
)
async def test_a_file_that_cannot_serve_is_told_and_not_quoted(tmp_path: Path, data: bytes | None, reason: str) -> None:
    store = TokenFile(tmp_path / "qwen.json")
    if data is not None:
        await store.write(data)
    async with scene(saying((500, {}))) as at:
        with pytest.raises(InvalidCredentials, match=reason) as caught:
            await shown(authority(at, store))
    assert "CANARY" not in caught.value.message


@pytest.mark.promise("004-073")
@pytest.mark.parametrize(
    ("text", "dies_at"),
    [
        ({"access_token": "a", "refresh_token": "r", "expires_at": 1_800_000_000}, 1_800_000_000),
        ({"access_token": "a", "expires_at": 1_800_000_000_000}, 1_800_000_000),
        ({"access_token": "a", "expiry_date": 1_800_000_000_000, "token_type": None, "x": 1}, 1_800_000_000),
        ({"access_token": "a"}, 0),
    ],
)
def test_the_files_of_the_specification_and_of_qwens_own_program_are_read(text: Any, dies_at: float) -> None:
    assert read_file(json.dumps(text).encode()).dies_at == dies_at


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
        ("portal.qwen.ai", "https://portal.qwen.ai/v1"),
        ("https://portal.qwen.ai/v1/", "https://portal.qwen.ai/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
    ],
)
def test_completions_go_to_the_address_of_the_sign_in(resource: str, url: str) -> None:
    assert base_url(Credentials(resource_url=resource)) == url


def test_what_an_answer_leaves_out_stays_as_it_was() -> None:
    before = Credentials("a", "r", 5.0, resource_url="u")
    after = credentials_of(TokenAnswer(access_token="b", expires_in=60), 1000.0, before)
    assert (after.access_token, after.refresh_token, after.resource_url, after.expires_at) == ("b", "r", "u", 1060.0)


@pytest.mark.promise("004-018")
def test_the_sign_in_proves_itself_by_pkce() -> None:
    flow = device_flow(QwenSettings(), pkce(bytes(32)), "id-1")
    assert flow.begin["code_challenge_method"] == "S256"
    assert (flow.poll["code_verifier"], flow.begin["code_challenge"]) == pkce(bytes(32))
    assert flow.begin["scope"] == "openid profile email model.completion"
    assert flow.headers == {"x-request-id": "id-1"}
    assert flow.device_url == "https://chat.qwen.ai/api/v1/oauth2/device/code"
    assert "access" not in repr(Credentials("access-1", "refresh-1"))
