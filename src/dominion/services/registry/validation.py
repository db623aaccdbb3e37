"""Whether a provider answers to its key, and which models it lists. Below five seconds, and never a row of the ledger.

Asked is the list of models, which costs nothing. Where that is open to everybody, or there is none, it is the shortest
completion: a request that the provider finds fault with proves the key as well as an answer does.
"""

import asyncio
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from dominion.credentials.present import headers as key_headers
from dominion.domain.contracts import Authority, Clock, Dialect, Upstream
from dominion.domain.errors import (
    InvalidCredentials,
    InvalidRequest,
    ModelNotAvailable,
    NetworkFailure,
    ProviderError,
    ProviderQuota,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    UnexpectedResponse,
)
from dominion.domain.messages import Message, Request, Text
from dominion.domain.providers import Slot, Target
from dominion.providers.model_lists import list_of_models
from dominion.rules.routing.retry import told_wait

SECONDS = 4.5
USUAL_WAIT = 30
"""Seconds until the next try where the provider does not say."""
_LARGEST = 4 * 1024 * 1024
_OK = 200
_NO_LIST = (404, 405, 501)
_KEY_FORMS: Mapping[str, str] = {
    "api.openai.com": "sk-",
    "api.anthropic.com": "sk-ant-",
    "api.groq.com": "gsk_",
    "openrouter.ai": "sk-or-",
    "api.x.ai": "xai-",
    "api.perplexity.ai": "pplx-",
    "api.cerebras.ai": "csk-",
}
"""How keys begin, by the host that takes them."""
_SHORTEST_KEY = 20


class Told(NamedTuple):
    """What people are told of a failure: a sentence, what they can do, and when it is worth another try (seconds)."""

    code: str
    message: str
    action: str
    retry_after: float | None = None


class Validation:
    """Asks providers. `dialects` by the name in a provider's row; `seconds` for all that one check asks."""

    def __init__(
        self, upstream: Upstream, dialects: Mapping[str, Dialect], clock: Clock, seconds: float = SECONDS
    ) -> None:
        self._seconds = seconds
        self._upstream = upstream
        self._dialects = dialects
        self._clock = clock

    async def check(self, slot: Slot, authority: Authority | None = None) -> None:
        """Returns when the provider took the key. Raises ProviderError; InvalidRequest when there is nothing to ask."""
        check_form(slot)
        try:
            async with asyncio.timeout(self._seconds):
                if authority is not None or not await self._list_proves(slot):
                    await self._complete(slot, authority)
        except TimeoutError as error:
            raise ProviderTimeout(
                f"{slot.row.name} did not answer within {self._seconds:g} seconds.", provider=slot.row.name
            ) from error

    async def listed(self, slot: Slot) -> list[str]:
        """The names of the models that the provider lists. Raises ProviderError, also when it has no list."""
        target = list_of_models(slot.target)
        if target is None:
            raise UnexpectedResponse(f"{slot.row.name} has no list of models.", provider=slot.row.name)
        try:
            async with asyncio.timeout(self._seconds):
                status, told, body = await self._ask(slot, target)
        except TimeoutError as error:
            raise ProviderTimeout(
                f"{slot.row.name} did not answer within {self._seconds:g} seconds.", provider=slot.row.name
            ) from error
        if status != _OK:
            raise self._error(slot, status, told, body)
        return _names(body, slot.row.name)

    async def _list_proves(self, slot: Slot) -> bool:
        """Whether the list of models shows that the key is good. Raises ProviderError when it shows that it is not."""
        target = list_of_models(slot.target)
        if target is None:
            return False
        status, told, body = await self._ask(slot, target)
        if status in _NO_LIST:
            return False
        if status != _OK:
            raise self._error(slot, status, told, body)
        _names(body, slot.row.name)
        keyless = _without_key(slot, target)
        if keyless == target:
            return True
        status, _, _ = await self._ask(slot, keyless)
        return status != _OK

    async def _complete(self, slot: Slot, authority: Authority | None) -> None:
        """The shortest completion. Raises ProviderError, InvalidRequest."""
        name, dialect = slot.row.name, self._dialects[slot.row.wire]
        model = slot.default_model or next(iter(slot.models), "")
        if not model:
            raise InvalidRequest(
                f"{name} shows no list of models that proves a key, and no model of it is known.",
                action="Set its default model and try again.",
            )
        request = Request(model=model, messages=(Message("user", (Text("Hi"),)),), max_output=1)
        body = dialect.write_request(request, model=model, output_cap=1).body
        target = slot.target.for_model(model)
        extra = b"" if authority is None else await authority.headers(target.path, body)
        status, told, answer = await self._ask(slot, target, body, extra)
        if status == _OK:
            return
        error = self._error(slot, status, told, answer)
        if not isinstance(error, ProviderRefused):
            raise error

    async def _ask(
        self, slot: Slot, target: Target, body: bytes = b"", extra: bytes = b""
    ) -> tuple[int, Mapping[bytes, bytes], bytes]:
        defaults = self._dialects[slot.row.wire].default_headers
        lines = b"".join([b"%b: %b\r\n" % item for item in defaults])
        exchange = await self._upstream.send(target, body, lines + extra)
        try:
            return exchange.status, exchange.headers, await exchange.read(_LARGEST)
        finally:
            exchange.close()

    def _error(self, slot: Slot, status: int, told: Mapping[bytes, bytes], body: bytes) -> ProviderError:
        error = self._dialects[slot.row.wire].read_error(slot.row.name, status, body)
        wait = told_wait(told, self._clock.now())
        if wait is not None:
            error.retry_after = wait
        return error


def check_form(slot: Slot) -> None:
    """Raises InvalidCredentials for a key that cannot be one of this provider's, without asking it."""
    start, key = key_start(slot.target.origin.host), _key_of(slot)
    if start and not (key.startswith(start) and len(key) >= _SHORTEST_KEY):
        raise InvalidCredentials(
            f"This is no key of {slot.row.name}: they begin with {start} and are longer.", provider=slot.row.name
        )


def key_start(host: str) -> str:
    """How the keys begin that a host takes; empty where that is not known."""
    return _KEY_FORMS.get(host, "")


def told_of(error: ProviderError, slot: Slot) -> Told:
    """The sentence of an explained failure, without the provider's own words, and the action of specification 003."""
    name, retry_after = slot.row.name, error.retry_after
    message, _, _ = error.message.partition(" It says: ")
    match error:
        case InvalidCredentials():
            message = f"Your {name} API key is invalid. Please check and try again."
            start = key_start(slot.target.origin.host)
            action = f"Re-enter the key; those of {name} begin with {start}" if start else "Re-enter the key."
        case ProviderRateLimited():
            retry_after = math.ceil(retry_after or USUAL_WAIT)
            message = f"{name} rate limit hit. Retrying in {retry_after} seconds..."
            action = "Nothing needs to be done: it is tried again by itself."
        case ProviderQuota():
            action = f"Raise the cap in your account at {name}, or choose another provider."
        case ModelNotAvailable():
            action = "Choose another default model."
        case NetworkFailure() | ProviderTimeout():
            action = "Try again."
        case _:
            action = error.action
    return Told(error.code, message, action, retry_after)


def _without_key(slot: Slot, target: Target) -> Target:
    """The same question from somebody who has no key."""
    names = tuple(line.partition(b":")[0] + b":" for line in key_headers(slot.row.credentials, "x").splitlines())
    lines = target.head.splitlines(keepends=True)
    return Target(
        target.origin, b"".join(line for line in lines if not line.startswith(names)) if names else target.head
    )


def _key_of(slot: Slot) -> str:
    shown = key_headers(slot.row.credentials, "x").splitlines()
    if not shown:
        return ""
    before = shown[0].removesuffix(b"x")
    line = next(line for line in slot.target.head.splitlines() if line.startswith(before))
    return line.removeprefix(before).decode("ascii")


def _names(body: bytes, provider: str) -> list[str]:
    """The models in a list of any API. Raises UnexpectedResponse."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnexpectedResponse(
            f"{provider} answered something that is no list of models.", provider=provider
        ) from error
    rows = (
        value
        if isinstance(value, list)
        else (value.get("data", value.get("models")) if isinstance(value, dict) else None)
    )
    if not isinstance(rows, list):
        raise UnexpectedResponse(f"{provider} answered something that is no list of models.", provider=provider)
    named = [row.get("id") or row.get("name") for row in rows if isinstance(row, dict)]
    return [name.removeprefix("models/") for name in named if isinstance(name, str)]
