"""GitHub Copilot: a GitHub token that a person signed in for, exchanged for short-lived ones. Opt-in; shows none.

Nothing here pretends to be another product: client id and header values are the operator's (decision X-14). Who asked,
the user or an agent (x-initiator), decides what GitHub charges, so each request says it. Source: providers.md 1.11.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from dominion.credentials.oauth import TokenAnswer
from dominion.domain.contracts import Clock
from dominion.domain.errors import ConfigProblem, InvalidCredentials, UnexpectedResponse
from dominion.services.sign_in.authority import TokenAuthority
from dominion.services.sign_in.device_flow import DeviceFlow
from dominion.services.sign_in.endpoints import OK, bearer_lines, failure, fixed_lines
from dominion.services.sign_in.outside import Ask, TokenStore
from dominion.services.sign_in.renewal import Lease

NAME = "GitHub Copilot"
BASE_URL = "https://api.githubcopilot.com"
ACTION = "Run `dominion providers login copilot`."
EARLY = 60.0
"""Seconds before `refresh_in` is over."""
MARGIN = 10.0
_OTHERS = frozenset({"authorization", "user-agent", "host", "content-type", "content-length"})  # of the request's head
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "editor-version": "dominion/1",
        "editor-plugin-version": "dominion/1",
        "openai-intent": "conversation-edits",
    }
)
_EXCHANGED = ("editor-version", "editor-plugin-version", "user-agent")
_NO_ACCESS = (403, 404)


class _Piece(msgspec.Struct):
    type: str = ""


class _Turn(msgspec.Struct):
    role: str = ""
    content: str | list[_Piece] | None = None


class _Asked(msgspec.Struct):
    messages: list[_Turn]


_ASKED = msgspec.json.Decoder(_Asked)


class CopilotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices. `headers` go with every completion, names in lower case; those that name the editor go
    with the exchange too. `web` and `api` are GitHub's addresses, others for an enterprise server."""

    client_id: str = ""
    headers: Mapping[str, str] = HEADERS
    web: str = "https://github.com"
    api: str = "https://api.github.com"


class _Endpoints(msgspec.Struct, frozen=True):
    api: str = ""


class CopilotToken(msgspec.Struct, frozen=True):
    """The answer of the exchange: `expires_at` in epoch seconds, `refresh_in` in seconds."""

    token: str
    expires_at: float
    refresh_in: float
    endpoints: _Endpoints = _Endpoints()

    def __repr__(self) -> str:
        return f"CopilotToken(refresh_in={self.refresh_in})"


def device_flow(settings: CopilotSettings) -> DeviceFlow:
    """Raises ConfigProblem when there is no client id."""
    if not settings.client_id:
        raise ConfigProblem(
            "Signing in to GitHub Copilot needs the client id of an OAuth app.",
            action="Register one at GitHub with the device flow enabled, and give its id with --client-id.",
        )
    client = {"client_id": settings.client_id}
    return DeviceFlow(
        name="GitHub",
        device_url=f"{settings.web}/login/device/code",
        token_url=f"{settings.web}/login/oauth/access_token",
        begin={**client, "scope": "read:user"},
        poll=client,
    )


def file_text(answer: TokenAnswer) -> bytes:
    """What the token file holds: the GitHub token, and nothing else."""
    return f"{answer.access_token}\n".encode()


async def exchange(ask: Ask, settings: CopilotSettings, github_token: str) -> CopilotToken:
    """A short-lived token for GitHub's. Raises InvalidCredentials, also when the account has no Copilot, and as `Ask`
    and `failure`."""
    editor = {name: settings.headers[name] for name in _EXCHANGED if name in settings.headers}
    headers = {"authorization": f"token {github_token}", "accept": "application/json", **editor}
    status, body = await ask("GET", f"{settings.api}/copilot_internal/v2/token", headers)
    if status in _NO_ACCESS:
        raise failure(NAME, status, "this account or this client has no access to Copilot", ACTION)
    if status != OK:
        raise failure(NAME, status, "GitHub does not know the token", ACTION)
    try:
        return msgspec.json.decode(body, type=CopilotToken)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UnexpectedResponse(f"{NAME}: the token exchange answered something else.", provider=NAME) from None


def asked_by(body: bytes) -> dict[str, str]:
    """Headers that a chat request must have by what it says: an agent asks where the last turn is not the user's."""
    try:
        turns = _ASKED.decode(body).messages
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    if not turns:
        return {}
    pieces = (piece for turn in turns if isinstance(turn.content, list) for piece in turn.content)
    vision = {"copilot-vision-request": "true"} if any(piece.type == "image_url" for piece in pieces) else {}
    return {"x-initiator": "user" if turns[-1].role == "user" else "agent", **vision}


class CopilotAuthority(TokenAuthority):
    """`domain.contracts.Authority` for Copilot. `endpoint` is the address that the last exchange named, or empty."""

    def __init__(self, store: TokenStore, ask: Ask, clock: Clock, settings: CopilotSettings) -> None:
        """Raises ConfigProblem for headers that cannot be sent."""
        self._store = store
        self._ask = ask
        self._settings = settings
        own = {name: value for name, value in settings.headers.items() if name not in _OTHERS}
        self._more = fixed_lines(NAME, own)
        super().__init__(NAME, clock)
        self.endpoint = ""

    async def headers(self, path: bytes, body: bytes) -> bytes:
        """See `Authority.headers`; with who asked and whether there are images, unless the operator says it."""
        lines = await super().headers(path, body)
        told = {name: value for name, value in asked_by(body).items() if name not in self._settings.headers}
        return lines + b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in told.items())

    async def _renew(self, before: Lease[bytes] | None) -> Lease[bytes]:  # noqa: ARG002 - nothing of it is needed
        kept = (await self._store.read() or b"").decode("ascii", "replace").strip()
        if not kept or not all("!" <= character <= "~" for character in kept):
            raise InvalidCredentials(f"{NAME}: nobody is signed in, or the token file is damaged.", action=ACTION)
        given = await exchange(self._ask, self._settings, kept)
        now = self._clock.now()
        self.endpoint = given.endpoints.api
        return Lease(
            bearer_lines(NAME, given.token, self._more),
            renew_at=now + given.refresh_in - EARLY,
            # The relative time holds where the two clocks differ.
            dies_at=max(given.expires_at - MARGIN, now + given.refresh_in),
        )
