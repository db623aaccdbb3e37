"""services/sign_in/device_flow.py against an endpoint that speaks as GitHub and Qwen do."""

from typing import Any

import pytest

from dominion.credentials.oauth import TokenAnswer
from dominion.domain.errors import InvalidCredentials, ProviderUnavailable, UnexpectedResponse
from dominion.services.sign_in.device_flow import DeviceFlow, Prompt, sign_in
from tests.services.sign_in.emulator import Answer, Asked, Scene, saying, scene

BEGUN = {
    "device_code": "CANARY-device",
    "user_code": "ABCD-1234",
    "verification_uri": "https://github.com/login/device",
    "expires_in": 900,
    "interval": 5,
}
GRANTED = {"access_token": "gho_CANARY", "token_type": "bearer"}


def told(error: str, status: int = 200, **more: Any) -> Answer:
    """A refusal as RFC 8628 writes it."""
    return status, {"error": error, "error_description": "why", **more}


def flow(url: str, **changes: Any) -> DeviceFlow:
    """GitHub's ways, at the emulator."""
    given: dict[str, Any] = {
        "name": "GitHub",
        "device_url": f"{url}/device",
        "token_url": f"{url}/token",
        "begin": {"client_id": "Ov23", "scope": "read:user"},
        "poll": {"client_id": "Ov23"},
    }
    return DeviceFlow(**given | changes)


class Person:
    """What was shown to the person, and how long was waited between the questions."""

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def sign_in(self, at: Scene, **changes: Any) -> TokenAnswer:
        return await sign_in(flow(at.endpoint.url, **changes), at.ask, self.prompts.append, self.sleep)


async def test_a_confirmed_code_gives_a_token() -> None:
    person = Person()
    async with scene(saying((200, BEGUN), told("authorization_pending"), (200, GRANTED))) as at:
        answer = await person.sign_in(at)
    assert answer.access_token == "gho_CANARY"
    assert person.prompts == [Prompt("ABCD-1234", "https://github.com/login/device", "", 900)]
    assert person.waits == [5, 5]
    begun, *polls = at.endpoint.asked
    assert (begun.method, begun.path) == ("POST", "/device")
    assert begun.form == {"client_id": "Ov23", "scope": "read:user"}
    assert begun.headers["accept"] == "application/json"
    assert {poll.path for poll in polls} == {"/token"}
    assert polls[0].form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "CANARY-device",
        "client_id": "Ov23",
    }


@pytest.mark.parametrize("direct", ["https://github.com/login/device?user_code=ABCD-1234", "javascript:alert(1)", ""])
async def test_the_address_with_the_code_in_it_is_shown_when_it_is_one(direct: str) -> None:
    person = Person()
    async with scene(saying((200, {**BEGUN, "verification_uri_complete": direct}), (200, GRANTED))) as at:
        await person.sign_in(at)
    assert person.prompts[0].direct == (direct if direct.startswith("https://") else "")


async def test_told_to_slow_down_githubs_way_it_asks_less_often() -> None:
    person = Person()
    answers = (
        (200, BEGUN),
        told("slow_down", interval=17),
        told("slow_down"),
        told("authorization_pending"),
        (200, GRANTED),
    )
    async with scene(saying(*answers)) as at:
        await person.sign_in(at)
    assert person.waits == [5, 17, 22, 22]


async def test_told_to_slow_down_qwens_way_it_asks_less_often_up_to_its_slowest() -> None:
    person = Person()
    begun = {name: value for name, value in BEGUN.items() if name != "interval"}
    answers = (200, begun), told("authorization_pending", 400), *([told("slow_down", 429)] * 5), (200, GRANTED)
    async with scene(saying(*answers)) as at:
        await person.sign_in(at, interval=2.0, factor=1.5, step=0.0, slowest=10.0)
    assert person.waits == [2, 2, 3, 4.5, 6.75, 10, 10]


@pytest.mark.parametrize("trouble", [(503, b"busy"), (429, b""), (502, b"<html>")])
async def test_trouble_on_the_way_only_slows_it_down(trouble: Answer) -> None:
    person = Person()
    async with scene(saying((200, BEGUN), trouble, (200, GRANTED))) as at:
        assert (await person.sign_in(at)).access_token == "gho_CANARY"
    assert person.waits == [5, 10]


async def test_a_connection_that_breaks_only_slows_it_down() -> None:
    person = Person()
    replies = saying((200, BEGUN), (200, GRANTED))

    async def answer(asked: Asked) -> Answer:
        if len(at.endpoint.asked) == 2:
            raise ConnectionResetError
        return await replies(asked)

    async with scene(answer) as at:
        assert (await person.sign_in(at)).access_token == "gho_CANARY"


@pytest.mark.parametrize("answer", [told("expired_token"), told("expired_token", 400), (401, b"")])
async def test_an_expired_code_is_told(answer: Answer) -> None:
    async with scene(saying((200, BEGUN), answer)) as at:
        with pytest.raises(InvalidCredentials, match="expired before it was confirmed"):
            await Person().sign_in(at)


async def test_it_stops_asking_when_the_code_has_expired_by_its_own_count() -> None:
    person = Person()
    async with scene(saying((200, {**BEGUN, "expires_in": 12}), told("authorization_pending"))) as at:
        with pytest.raises(InvalidCredentials, match="expired"):
            await person.sign_in(at)
    assert person.waits == [5, 5, 5]


async def test_a_person_who_declines_is_told_so() -> None:
    async with scene(saying((200, BEGUN), told("access_denied"))) as at:
        with pytest.raises(InvalidCredentials, match="declined"):
            await Person().sign_in(at)


async def test_an_unknown_client_is_told_with_the_providers_reason_and_no_secret() -> None:
    async with scene(saying((200, BEGUN), told("incorrect_client_credentials"))) as at:
        with pytest.raises(InvalidCredentials, match="incorrect_client_credentials: why") as caught:
            await Person().sign_in(at)
    assert "CANARY" not in f"{caught.value.message}{caught.value.action}"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((404, {"error": "Not Found"}), InvalidCredentials),
        ((500, b""), ProviderUnavailable),
        ((302, b""), UnexpectedResponse),
        ((200, b"<html>"), UnexpectedResponse),
        ((200, {"error": "device_flow_disabled"}), InvalidCredentials),
        ((200, {**BEGUN, "verification_uri": "javascript:alert(1)"}), UnexpectedResponse),
    ],
)
async def test_a_flow_that_cannot_begin_shows_no_code(answer: Answer, kind: type[Exception]) -> None:
    person = Person()
    async with scene(saying(answer)) as at:
        with pytest.raises(kind):
            await person.sign_in(at)
    assert person.prompts == []
