"""`providers login` and `providers logout`: a confirmed code gives a token, kept privately, never shown."""

import asyncio
import json
from pathlib import Path

import pytest

from dominion.cli.providers.sign_in import Chosen, sign_in_and_keep
from dominion.domain.errors import InvalidCredentials
from dominion.services.sign_in.copilot import CopilotSettings
from dominion.services.sign_in.device_flow import Prompt
from dominion.services.sign_in.qwen import QwenSettings, read_file
from dominion.stores.files.tokens import TokenFile
from tests.cli.conftest import Run
from tests.client.scripted import Scripted, said
from tests.services.sign_in.emulator import Answer, Scene, saying, scene

BEGUN = {
    "device_code": "CANARY-device",
    "user_code": "ABCD-1234",
    "verification_uri": "https://example.test/device",
    "verification_uri_complete": "https://example.test/device?code=ABCD-1234",
    "expires_in": 600,
}
EXCHANGED = {
    "token": "CANARY-short",
    "expires_at": 1,
    "refresh_in": 1500,
    "endpoints": {"api": "https://api.individual.githubcopilot.com"},
}


async def signed_in(at: Scene, chosen: Chosen, store: TokenFile) -> tuple[str, list[Prompt]]:
    """Sign in at the emulator, without waiting."""
    shown: list[Prompt] = []
    told = await sign_in_and_keep(chosen, store, at.ask, shown.append, lambda _: asyncio.sleep(0), at.clock.now)
    return told, shown


@pytest.fixture
def store(tmp_path: Path) -> TokenFile:
    """Nobody is signed in."""
    return TokenFile(tmp_path / "data" / "token")


def copilot(at: Scene) -> CopilotSettings:
    """At the emulator."""
    return CopilotSettings(client_id="Ov23", web=at.endpoint.url, api=at.endpoint.url)


@pytest.mark.promise("004-070", "004-102")
async def test_copilots_token_is_tried_by_an_exchange_and_kept_alone_in_its_file(store: TokenFile) -> None:
    async with scene(saying((200, BEGUN), (200, {"access_token": "gho_CANARY"}), (200, EXCHANGED))) as at:
        told, shown = await signed_in(at, copilot(at), store)
    assert told == "https://api.individual.githubcopilot.com"
    assert shown[0].code == "ABCD-1234"
    assert [asked.path for asked in at.endpoint.asked] == [
        "/login/device/code",
        "/login/oauth/access_token",
        "/copilot_internal/v2/token",
    ]
    assert store.path.read_bytes() == b"gho_CANARY\n"
    assert store.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "answers",
    [
        ((200, BEGUN), (200, {"error": "access_denied"})),
        ((200, BEGUN), (200, {"access_token": "gho_CANARY"}), (403, {})),
    ],
    ids=["declined", "no Copilot"],
)
async def test_what_was_declined_or_has_no_copilot_is_not_kept_and_the_earlier_one_stays(
    store: TokenFile, answers: tuple[Answer, ...]
) -> None:
    await store.write(b"gho_earlier\n")
    async with scene(saying(*answers)) as at:
        with pytest.raises(InvalidCredentials):
            await signed_in(at, copilot(at), store)
    assert await store.read() == b"gho_earlier\n"


@pytest.mark.promise("004-018", "004-073", "004-074", "004-102")
async def test_qwens_credentials_are_kept_as_the_specification_says(store: TokenFile) -> None:
    granted = {
        "access_token": "CANARY-a",
        "refresh_token": "CANARY-r",
        "expires_in": 21600,
        "token_type": "Bearer",
        "resource_url": "portal.qwen.ai",
    }
    pending = (400, {"error": "authorization_pending"})
    async with scene(saying((200, BEGUN), pending, (200, granted))) as at:
        told, _ = await signed_in(at, QwenSettings(host=at.endpoint.url), store)
    assert told == "https://portal.qwen.ai/v1"
    kept = read_file(store.path.read_bytes())
    assert (kept.access_token, kept.refresh_token) == ("CANARY-a", "CANARY-r")
    assert kept.expires_at == at.clock.now() + 21600
    begun, poll = at.endpoint.asked[0].form, at.endpoint.asked[1].form
    assert begun["code_challenge_method"] == "S256"
    assert len(poll["code_verifier"]) == 43


def test_copilot_without_a_client_id_is_told_what_to_do(run: Run, tmp_path: Path) -> None:
    result = run("providers", "login", "copilot", DOMINION_DATA_DIR=str(tmp_path))
    assert result.exit_code != 0
    assert "--client-id" in result.stderr
    assert "undocumented" in result.stderr


def test_the_code_is_shown_on_standard_error_and_one_that_has_expired_is_told(
    run: Run, server: Scripted, tmp_path: Path
) -> None:
    server.answers["POST /api/v1/oauth2/device/code"] = said({**BEGUN, "expires_in": 0})
    result = run("providers", "login", "qwen", "--url", server.url, "--json", DOMINION_DATA_DIR=str(tmp_path))
    assert "Open https://example.test/device and enter the code ABCD-1234" in result.stderr
    assert "or open https://example.test/device?code=ABCD-1234" in result.stderr
    assert result.exit_code != 0
    assert "CANARY" not in result.output
    assert list(tmp_path.glob("qwen*")) == []


def test_the_address_of_the_sign_in_may_stand_in_the_settings(run: Run, server: Scripted, folder: Path) -> None:
    server.answers["POST /login/device/code"] = said({**BEGUN, "expires_in": 0})
    (folder / "dominion.toml").write_text(
        f'[providers.copilot]\nclient_id = "Ov23"\nsign_in_url = "{server.url}/"\napi_url = "{server.url}/"\n'
    )
    assert "enter the code ABCD-1234" in run("providers", "login", "copilot").stderr


def test_qwen_says_that_it_is_discontinued_before_it_asks_anything(run: Run, tmp_path: Path) -> None:
    url = "http://elsewhere.example"
    result = run("providers", "login", "qwen", "--url", url, DOMINION_DATA_DIR=str(tmp_path))
    assert "discontinued" in result.stderr
    assert "unencrypted" in result.stderr
    assert result.exit_code != 0


def test_logging_out_forgets_and_says_whether_there_was_anything(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "copilot_token.txt"
    file.write_text("gho_CANARY")
    out = run("providers", "logout", "copilot", DOMINION_DATA_DIR=str(tmp_path))
    assert out.stdout == "Signed out of GitHub Copilot.\n"
    assert not file.exists()
    assert run("providers", "logout", "copilot", "--file", str(file)).stdout == "You were not signed in.\n"
    result = run("providers", "logout", "qwen", "--json", DOMINION_DATA_DIR=str(tmp_path))
    assert json.loads(result.stdout) == {"provider": "qwen", "signed_out": False}


@pytest.mark.promise("004-069", "004-072")
@pytest.mark.parametrize(
    ("provider", "key"), [("copilot", "copilot.token_path"), ("qwen", "qwen_oauth.credentials_path")]
)
def test_the_file_is_the_one_that_the_settings_name(run: Run, folder: Path, provider: str, key: str) -> None:
    (folder / "mine").write_text("CANARY")
    (folder / "dominion.toml").write_text(f'[providers]\n{key} = "{folder}/mine"\n')
    assert "Signed out" in run("providers", "logout", provider).stdout
    assert not (folder / "mine").exists()


def test_a_provider_with_keys_has_no_sign_in(run: Run) -> None:
    result = run("providers", "login", "openai")
    assert result.exit_code == 2
    assert "copilot" in result.stderr
