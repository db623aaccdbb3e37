"""One exchange with a token endpoint, its failures sorted into the error tree. Never shows what was sent."""

import re
from collections.abc import Mapping

from dominion.credentials.oauth import FORM_HEADERS, TokenAnswer, complaint, form, read_answer
from dominion.credentials.present import headers as header_lines
from dominion.domain.errors import (
    ConfigProblem,
    InvalidCredentials,
    ProviderError,
    ProviderRateLimited,
    ProviderUnavailable,
    UnexpectedResponse,
)
from dominion.services.sign_in.outside import Ask

OK = 200
BUSY = 429
_CALLERS_FAULT = range(400, 500)
_OVERLOADED = range(500, 600)
_RATE_PAUSE = 60.0
_HEADER = re.compile(r"[a-z0-9-]+")


async def ask_form(
    ask: Ask, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> tuple[int, TokenAnswer]:
    """Post a form. The status, and the answer as far as it is one; an empty one of an error status. Raises as `Ask`,
    and UnexpectedResponse."""
    status, body = await ask("POST", url, {**FORM_HEADERS, **(headers or {})}, form(fields))
    try:
        return status, read_answer(body)
    except ValueError as error:
        if status == OK:
            raise UnexpectedResponse(f"The token endpoint's answer is wrong: {error}.", status=status) from None
        return status, TokenAnswer()


async def ask_token(
    ask: Ask, name: str, url: str, fields: Mapping[str, str], *, action: str, headers: Mapping[str, str] | None = None
) -> TokenAnswer:
    """A new access token. `action` is what a person does when the endpoint refuses. Raises as `ask_form`, and as
    `failure` says."""
    status, answer = await ask_form(ask, url, fields, headers)
    if status != OK or not answer.access_token:
        raise failure(name, status, complaint(answer, fields), action)
    return answer


def failure(name: str, status: int, reason: str, action: str) -> ProviderError:
    """What an answer without a token means. A 2xx with a reason is a refusal too: GitHub does so."""
    if status == BUSY:
        return ProviderRateLimited(
            f"{name} limits how often it renews a sign-in.", provider=name, status=status, retry_after=_RATE_PAUSE
        )
    if status in _OVERLOADED:
        return ProviderUnavailable(f"{name} could not renew the sign-in.", provider=name, status=status)
    if status in _CALLERS_FAULT or status == OK:
        return InvalidCredentials(
            f"{name} refused to renew the sign-in: {reason}.", provider=name, status=status, action=action
        )
    return UnexpectedResponse(
        f"{name}'s token endpoint answered with status {status}, which is no answer.", provider=name, status=status
    )


def bearer_lines(name: str, token: str, more: bytes = b"") -> bytes:
    """Header lines that show a token, and `more`. Raises UnexpectedResponse when the token cannot be in a header."""
    try:
        return header_lines("bearer", token) + more
    except ValueError as error:
        raise UnexpectedResponse(f"{name} gave a token that cannot be used: {error}.", provider=name) from None


def fixed_lines(name: str, headers: Mapping[str, str]) -> bytes:
    """Header lines of the operator's choice. Raises ConfigProblem, which names the header, for what cannot be sent."""
    for header, value in headers.items():
        if not _HEADER.fullmatch(header) or not value.isascii() or not value.isprintable():
            raise ConfigProblem(f"{name}: the header {header!r} cannot be sent.")
    return "".join(f"{header}: {value}\r\n" for header, value in headers.items()).encode("ascii")
