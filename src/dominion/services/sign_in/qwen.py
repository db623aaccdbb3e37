"""Qwen's OAuth of chat.qwen.ai: tokens renewed and kept in the credentials file. Shows none.

Discontinued: its free tier was shut on 2026-04-15. The flow stays for those whose account still works; it is opt-in and
labelled so. Source: providers.md 0.2 and 1.12.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from dominion.credentials.oauth import TokenAnswer
from dominion.domain.contracts import Clock
from dominion.domain.errors import ConfigProblem, InvalidCredentials
from dominion.services.sign_in.authority import TokenAuthority
from dominion.services.sign_in.device_flow import DeviceFlow
from dominion.services.sign_in.endpoints import ask_token, bearer_lines, fixed_lines
from dominion.services.sign_in.outside import Ask, TokenStore
from dominion.services.sign_in.renewal import LOG, Lease

NAME = "Qwen"
DISCONTINUED = "Qwen discontinued its OAuth sign-in on 2026-04-15; an API key of the provider qwen works instead."
ACTION = f"Run `dominion providers login qwen`. {DISCONTINUED}"
HOST = "https://chat.qwen.ai"
CLIENT_ID = "f0304373b74a44d2b584a3fb70ca9e56"
BASE_URL = "https://dashscope.aliyuncs.com/compatible-mode/v1"
DEFAULT_LIFE = 3600.0
EARLY = 60.0
MARGIN = 10.0
_MILLISECONDS = 1e11
"""No time in seconds is above it for 3000 years, none in milliseconds below it since 1973."""
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "x-dashscope-authtype": "qwen-oauth",
        "x-dashscope-useragent": "dominion/1",
        "x-dashscope-cachecontrol": "enable",
    }
)


class QwenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices; `headers` go with every completion."""

    client_id: str = CLIENT_ID
    host: str = HOST
    headers: Mapping[str, str] = HEADERS

    @property
    def token_url(self) -> str:
        """Where tokens are given and renewed."""
        return f"{self.host}/api/v1/oauth2/token"


class Credentials(msgspec.Struct, frozen=True):
    """The credentials file of specification 004, `expires_at` in epoch seconds.

    `expiry_date`, the same in milliseconds, is how Qwen's own program writes it, so both can use one file.
    """

    access_token: str = ""
    refresh_token: str = ""
    expires_at: float = 0.0
    expiry_date: float = 0.0
    resource_url: str = ""
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme

    def __repr__(self) -> str:
        return f"Credentials(expires_at={self.expires_at})"

    @property
    def dies_at(self) -> float:
        """Epoch seconds; 0 where the file says nothing."""
        seconds = self.expires_at or self.expiry_date / 1000
        return seconds / 1000 if seconds > _MILLISECONDS else seconds


def device_flow(settings: QwenSettings, pkce: tuple[str, str], request_id: str) -> DeviceFlow:
    """`pkce` is `credentials.oauth.pkce` of 32 random bytes, `request_id` any random name."""
    verifier, challenge = pkce
    client = {"client_id": settings.client_id}
    return DeviceFlow(
        name=NAME,
        device_url=f"{settings.host}/api/v1/oauth2/device/code",
        token_url=settings.token_url,
        begin={
            **client,
            "scope": "openid profile email model.completion",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        },
        poll={**client, "code_verifier": verifier},
        headers={"x-request-id": request_id},
        interval=2.0,
        factor=1.5,
        step=0.0,
        slowest=10.0,
    )


def credentials_of(answer: TokenAnswer, now: float, before: Credentials | None = None) -> Credentials:
    """What to keep of an answer; what it leaves out stays as it was before."""
    before = before or Credentials()
    dies_at = now + answer.lasts(DEFAULT_LIFE)
    return Credentials(
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or before.refresh_token,
        expires_at=dies_at,
        expiry_date=int(dies_at * 1000),
        resource_url=answer.resource_url or before.resource_url,
        token_type=answer.token_type or before.token_type,
    )


def file_text(credentials: Credentials) -> bytes:
    """The credentials file."""
    return msgspec.json.format(msgspec.json.encode(credentials), indent=2)


def read_file(data: bytes) -> Credentials:
    """Raises ConfigProblem, which quotes nothing of it, for what is no credentials file."""
    try:
        found: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
        return msgspec.convert({name: each for name, each in found.items() if each is not None}, Credentials)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ConfigProblem("The Qwen credentials file is damaged.", action=ACTION) from None


def base_url(credentials: Credentials) -> str:
    """Where completions go: the address that Qwen named at the sign-in, else its usual one."""
    url = credentials.resource_url.rstrip("/")
    if not url:
        return BASE_URL
    url = url if url.startswith(("https://", "http://")) else f"https://{url}"
    return url if url.endswith("/v1") else f"{url}/v1"


class QwenAuthority(TokenAuthority):
    """`domain.contracts.Authority` for Qwen."""

    def __init__(self, store: TokenStore, ask: Ask, clock: Clock, settings: QwenSettings) -> None:
        self._store = store
        self._ask = ask
        self._settings = settings
        self._more = fixed_lines(NAME, settings.headers)
        self._held: Credentials | None = None
        super().__init__(NAME, clock)

    async def _renew(self, before: Lease[bytes] | None) -> Lease[bytes]:
        """Under the file's lock: each refresh token works once, and another process may have just used it."""
        async with self._store.locked():
            credentials = await self._kept()
            stale = before is not None and before.value == self._lines(credentials)
            if stale or credentials.dies_at - EARLY <= self._clock.now():
                credentials = await self._refreshed(credentials)
                await self._keep(credentials)
        self._held = credentials
        return Lease(
            self._lines(credentials), renew_at=credentials.dies_at - EARLY, dies_at=credentials.dies_at - MARGIN
        )

    async def _kept(self) -> Credentials:
        """The newer of the file's and our own, which differ when the file could not be written."""
        data = await self._store.read()
        found = [each for each in (data and read_file(data), self._held) if each]
        if not found:
            raise InvalidCredentials(f"{NAME}: nobody is signed in.", action=ACTION)
        return max(found, key=lambda each: each.dies_at)

    async def _refreshed(self, old: Credentials) -> Credentials:
        if not old.refresh_token:
            raise InvalidCredentials(f"{NAME}: the sign-in has ended.", action=ACTION)
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": old.refresh_token,
            "client_id": self._settings.client_id,
        }
        answer = await ask_token(self._ask, NAME, self._settings.token_url, fields, action=ACTION)
        return credentials_of(answer, self._clock.now(), old)

    async def _keep(self, credentials: Credentials) -> None:
        try:
            await self._store.write(file_text(credentials))
        except ConfigProblem as problem:  # this process goes on with what it has; after a restart one must sign in
            LOG.error("%s: the renewed sign-in could not be kept: %s", NAME, problem.message)

    def _lines(self, credentials: Credentials) -> bytes:
        return bearer_lines(NAME, credentials.access_token, self._more)
