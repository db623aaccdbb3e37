"""The device flow (RFC 8628): a person confirms a code in a browser while we ask whether it is done. Keeps nothing."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from dominion.credentials.oauth import DEVICE_GRANT, TokenAnswer, complaint
from dominion.domain.errors import (
    InvalidCredentials,
    NetworkFailure,
    ProviderTimeout,
    ProviderUnavailable,
    UnexpectedResponse,
)
from dominion.services.sign_in.endpoints import BUSY, OK, ask_form, failure
from dominion.services.sign_in.outside import Ask

DEFAULT_LIFE = 900.0
SHORTEST_INTERVAL = 1.0
_UNAUTHORIZED = 401
_GONE = ("expired_token", "device_code_expired")
_WAIT = "authorization_pending"
_SLOWER = "slow_down"
_SECURE = "https://"


class DeviceFlow(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's device flow. `begin` and `poll` are the fields of its two forms, the device code excepted.

    `interval` seconds between questions unless the provider says; told to slow down, the next is `factor` times it
    and `step` more, and never above `slowest`.
    """

    name: str
    device_url: str
    token_url: str
    begin: Mapping[str, str]
    poll: Mapping[str, str]
    headers: Mapping[str, str] = {}
    interval: float = 5.0
    factor: float = 1.0
    step: float = 5.0
    slowest: float = 60.0

    def slower(self, interval: float, told: float | None = None) -> float:
        """The interval after `slow_down`; `told` is the one that came with it."""
        return min(max(told or 0.0, interval * self.factor + self.step), self.slowest)


class Prompt(msgspec.Struct, frozen=True):
    """What to tell the person. `direct` is the address with the code in it, if the provider has one."""

    code: str
    address: str
    direct: str
    seconds: float


async def sign_in(
    flow: DeviceFlow, ask: Ask, show: Callable[[Prompt], None], sleep: Callable[[float], Awaitable[None]]
) -> TokenAnswer:
    """Show the code and wait until it is confirmed; the answer holds the access token.

    Raises InvalidCredentials when the person declines or the code expires, ProviderUnavailable and the like when the
    flow cannot begin. A failure on the way of a question only slows the asking down.
    """
    status, begun = await ask_form(ask, flow.device_url, flow.begin, flow.headers)
    if status != OK or not (begun.device_code and begun.user_code):
        raise failure(flow.name, status, complaint(begun, flow.begin), "Check the client id, and try again later.")
    if not begun.verification_uri.startswith(_SECURE):
        raise UnexpectedResponse(f"{flow.name} names no https address for the code.", provider=flow.name)
    left = begun.lasts(DEFAULT_LIFE)
    direct = begun.verification_uri_complete
    show(Prompt(begun.user_code, begun.verification_uri, direct if direct.startswith(_SECURE) else "", left))
    interval = max(begun.interval or flow.interval, SHORTEST_INTERVAL)
    fields = {"grant_type": DEVICE_GRANT, "device_code": begun.device_code, **flow.poll}
    while left > 0:
        await sleep(interval)
        left -= interval
        try:
            status, answer = await ask_form(ask, flow.token_url, fields, flow.headers)
        except (NetworkFailure, ProviderTimeout, ProviderUnavailable):
            interval = flow.slower(interval)
            continue
        if status == OK and answer.access_token:
            return answer
        interval = _next_interval(flow, interval, status, answer, fields)
    raise _expired(flow)


def _next_interval(
    flow: DeviceFlow, interval: float, status: int, answer: TokenAnswer, fields: Mapping[str, str]
) -> float:
    """How long to wait before the next question. Raises when there is no use in one."""
    error = answer.error
    if error == _WAIT:
        return interval
    if error == _SLOWER or (not error and (status == BUSY or status >= 500)):  # noqa: PLR2004 - a server's trouble
        return flow.slower(interval, answer.interval)
    if error in _GONE or (not error and status == _UNAUTHORIZED):
        raise _expired(flow)
    if error == "access_denied":
        raise InvalidCredentials(
            f"{flow.name}: the sign-in was declined.", provider=flow.name, action="Sign in again and allow it."
        )
    raise failure(flow.name, status, complaint(answer, fields), "Check the client id, and sign in again.")


def _expired(flow: DeviceFlow) -> InvalidCredentials:
    return InvalidCredentials(
        f"{flow.name}: the code expired before it was confirmed.", provider=flow.name, action="Sign in again."
    )
