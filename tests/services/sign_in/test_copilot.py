"""services/sign_in/copilot.py against an emulated GitHub on a real socket."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from dominion.credentials.oauth import TokenAnswer
from dominion.domain.errors import (
    ConfigProblem,
    InvalidCredentials,
    NetworkFailure,
    ProviderRateLimited,
    ProviderUnavailable,
    UnexpectedResponse,
)
from dominion.services.sign_in.copilot import CopilotAuthority, CopilotSettings, device_flow, file_text
from dominion.stores.files.tokens import TokenFile
from tests.services.sign_in.emulator import Answer, Asked, Scene, saying, scene

GITHUB = "gho_CANARY"


def given(number: int, now: float, **changes: Any) -> dict[str, Any]:
    """The answer of the exchange."""
    return {
        "token": f"tid=CANARY{number};exp=1;sku=x",
        "expires_at": int(now) + 1800,
        "refresh_in": 1500,
        "endpoints": {"api": "https://api.individual.githubcopilot.com", "proxy": "x"},
    } | changes


@pytest.fixture
async def store(tmp_path: Path) -> TokenFile:
    """Somebody has signed in."""
    file = TokenFile(tmp_path / "copilot_token.txt")
    await file.write(file_text(TokenAnswer(access_token=GITHUB)))
    return file


def authority(at: Scene, store: TokenFile, **settings: Any) -> CopilotAuthority:
    """At the emulator."""
    return CopilotAuthority(store, at.ask, at.clock, CopilotSettings(api=at.endpoint.url, **settings))


@pytest.mark.promise("004-071", "004-105")
async def test_fifty_requests_share_one_exchange_over_the_wire(store: TokenFile) -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def answer(_: Asked) -> Answer:
        arrived.set()
        await go.wait()
        return 200, given(1, at.clock.now())

    async with scene(answer) as at:
        copilot = authority(at, store)
        waiting = [asyncio.create_task(copilot.headers(b"/chat/completions", b"{}")) for _ in range(50)]
        await arrived.wait()
        go.set()
        (lines,) = set(await asyncio.gather(*waiting))
    assert lines == (
        b"authorization: Bearer tid=CANARY1;exp=1;sku=x\r\n"
        b"editor-version: dominion/1\r\neditor-plugin-version: dominion/1\r\nopenai-intent: conversation-edits\r\n"
    )
    assert copilot.endpoint == "https://api.individual.githubcopilot.com"
    (asked,) = at.endpoint.asked
    assert (asked.method, asked.path) == ("GET", "/copilot_internal/v2/token")
    assert asked.headers["authorization"] == f"token {GITHUB}"
    assert asked.headers["editor-version"] == "dominion/1"
    assert asked.headers["user-agent"] == "dominion/test"
    assert "openai-intent" not in asked.headers


@pytest.mark.promise("004-071")
async def test_it_is_renewed_a_minute_before_refresh_in_is_over_and_on_a_refusal(store: TokenFile) -> None:
    number = 0

    async def answer(_: Asked) -> Answer:
        nonlocal number
        number += 1
        return 200, given(number, at.clock.now())

    async with scene(answer) as at:
        copilot = authority(at, store)

        async def shown() -> bytes:
            return (await copilot.headers(b"/", b"")).partition(b";")[0][-1:]

        assert await shown() == b"1"
        at.clock.move(1439)
        assert await shown() == b"1"
        assert number == 1
        at.clock.move(1)
        assert await shown() == b"1", "the old one is still good"
        assert copilot._renewal._task is not None
        await copilot._renewal._task
        assert await shown() == b"2"
        at.clock.move(60)
        copilot.refused()
        assert await shown() == b"3"
        await store.write(b"gho_other\n")
        at.clock.move(1800)
        assert await shown() == b"4"
        assert at.endpoint.asked[-1].headers["authorization"] == "token gho_other"


async def test_a_clock_that_runs_ahead_of_githubs_does_not_make_every_token_old(store: TokenFile) -> None:
    async with scene(saying((200, given(1, 0.0)))) as at:
        copilot = authority(at, store)
        await copilot.headers(b"/", b"")
        at.clock.move(1400)
        await copilot.headers(b"/", b"")
    assert len(at.endpoint.asked) == 1


async def test_the_operators_headers_replace_ours_and_the_editors_go_to_the_exchange(store: TokenFile) -> None:
    headers = {"editor-version": "mine/2", "user-agent": "mine", "copilot-integration-id": "mine-chat"}
    async with scene(saying((200, given(1, 0.0)))) as at:
        lines = await authority(at, store, headers=headers).headers(b"/", b"")
    assert lines.splitlines()[1:] == [b"editor-version: mine/2", b"copilot-integration-id: mine-chat"]
    asked = at.endpoint.asked[0].headers
    assert (asked["editor-version"], asked["user-agent"]) == ("mine/2", "mine")


@pytest.mark.parametrize("headers", [{"x-a": "b\r\nc: d"}, {"x a": "b"}, {"x": "é"}, {"X-Upper": "b"}, {"": "b"}])
async def test_headers_that_cannot_be_sent_are_refused_at_the_start(store: TokenFile, headers: dict[str, str]) -> None:
    async with scene(saying((200, {}))) as at:
        with pytest.raises(ConfigProblem, match="cannot be sent"):
            authority(at, store, headers=headers)


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        ((401, {"message": f"Bad credentials {GITHUB}"}), InvalidCredentials, "does not know the token"),
        ((403, {}), InvalidCredentials, "no access to Copilot"),
        ((404, {}), InvalidCredentials, "no access to Copilot"),
        ((429, {}), ProviderRateLimited, "limits how often"),
        ((503, b"<html>"), ProviderUnavailable, "could not renew"),
        ((302, {}), UnexpectedResponse, "no answer"),
        ((200, b"<html>"), UnexpectedResponse, "something else"),
        ((200, {"token": "t"}), UnexpectedResponse, "something else"),
        ((200, given(1, 0.0, token="t\r\nx: y")), UnexpectedResponse, "cannot be used"),
    ],
)
async def test_a_failed_exchange_is_told_without_a_token(
    store: TokenFile, caplog: pytest.LogCaptureFixture, answer: Answer, kind: type[Exception], sentence: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with scene(saying(answer)) as at:
        with pytest.raises(kind, match=sentence) as caught:
            await authority(at, store).headers(b"/", b"")
    assert "CANARY" not in f"{caught.value}{caught.value.__dict__}{caplog.text}"


async def test_a_connection_that_breaks_is_a_network_failure_of_which_nothing_was_sent(store: TokenFile) -> None:
    async def answer(_: Asked) -> Answer:
        raise ConnectionResetError

    async with scene(answer) as at:
        with pytest.raises(NetworkFailure) as caught:
            await authority(at, store).headers(b"/", b"")
    assert caught.value.sent is False
    assert caught.value.provider == "GitHub Copilot"


@pytest.mark.parametrize("data", [None, b"", b" \n", b"two words", b"\xff\xfe"])
async def test_nobody_signed_in_is_told_with_the_command(tmp_path: Path, data: bytes | None) -> None:
    store = TokenFile(tmp_path / "token")
    if data is not None:
        await store.write(data)
    async with scene(saying((200, {}))) as at:
        with pytest.raises(InvalidCredentials, match="nobody is signed in") as caught:
            await authority(at, store).headers(b"/", b"")
    assert caught.value.action == "Run `dominion providers login copilot`."
    assert at.endpoint.asked == []


async def test_a_token_file_that_is_open_to_others_is_not_used(store: TokenFile) -> None:
    store.path.chmod(0o644)
    async with scene(saying((200, {}))) as at:
        with pytest.raises(InvalidCredentials, match="open to others") as caught:
            await authority(at, store).headers(b"/", b"")
    assert "chmod 600" in caught.value.action


def test_a_sign_in_needs_a_client_id_and_asks_github_for_it_to_read_the_user() -> None:
    with pytest.raises(ConfigProblem, match="client id"):
        device_flow(CopilotSettings())
    flow = device_flow(CopilotSettings(client_id="Ov23"))
    assert flow.device_url == "https://github.com/login/device/code"
    assert flow.token_url == "https://github.com/login/oauth/access_token"
    assert flow.begin == {"client_id": "Ov23", "scope": "read:user"}


IMAGE = {"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}}
USER = {"role": "user", "content": "Hello!"}


@pytest.mark.promise("004-105")
@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([{"role": "system", "content": "Be brief."}, USER], {"x-initiator": "user"}),
        ([USER, {"role": "assistant", "content": None}, {"role": "tool", "content": "1"}], {"x-initiator": "agent"}),
        ([{"role": "user", "content": [{"type": "text", "text": "image_url"}]}], {"x-initiator": "user"}),
        ([{"role": "user", "content": [IMAGE]}], {"x-initiator": "user", "copilot-vision-request": "true"}),
        (
            [{"role": "user", "content": [IMAGE]}, {"role": "assistant", "content": "A cat."}],
            {"x-initiator": "agent", "copilot-vision-request": "true"},
        ),
        ([], {}),
    ],
)
async def test_each_request_says_who_asked_and_whether_there_are_images(
    store: TokenFile, messages: list[dict[str, Any]], told: dict[str, str]
) -> None:
    async def answer(_: Asked) -> Answer:
        return 200, given(1, at.clock.now())

    async with scene(answer) as at:
        copilot = authority(at, store)
        lines = (await copilot.headers(b"/chat/completions", json.dumps({"messages": messages}).encode())).decode()
        found = dict(line.split(": ", 1) for line in lines.splitlines())
        assert {name: found[name] for name in ("x-initiator", "copilot-vision-request") if name in found} == told
        own = authority(at, store, headers={"x-initiator": "agent"})
        lines = (await own.headers(b"/chat/completions", json.dumps({"messages": [USER]}).encode())).decode()
        assert [line for line in lines.splitlines() if line.startswith("x-initiator")] == ["x-initiator: agent"]
