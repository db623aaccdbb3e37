"""The recommended provider: every request goes through a Dominion gateway, which holds the providers' keys."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from dominion.client.connection import Connection, key_headers
from dominion.client.dialect_provider import DialectProvider
from dominion.client.errors import ErrorBody, GatewayUnreachable, build_error, read_error
from dominion.client.provider import LLMCompletionOptions, LLMModel, LLMResponse, write_json
from dominion.client.selection import plain
from dominion.domain.contracts import Written
from dominion.domain.errors import ConfigProblem, DominionError, UnexpectedResponse
from dominion.domain.messages import Answer, Failed
from dominion.wire.native.dialect import NATIVE

COMPLETE = "/v1/llm/complete"
QUOTA = "/v1/llm/quota"
QUOTE = "/v1/llm/quote"
T = TypeVar("T")


class Counter(msgspec.Struct, frozen=True):
    """Requests or tokens of one UTC day. `limit` and `remaining` are None when there is no limit."""

    limit: int | None
    used: int
    remaining: int | None = None
    resets_at: str | None = None


class Spend(msgspec.Struct, frozen=True):
    """Money of one UTC month, in decimal strings. `limit_usd` and `remaining_usd` are None when there is no cap."""

    limit_usd: str | None
    used_usd: str
    remaining_usd: str | None = None
    resets_at: str | None = None


class Rate(msgspec.Struct, frozen=True):
    """Requests at this moment, or within a minute; `limit` is None when there is none."""

    limit: int | None
    used: int


class Quota(msgspec.Struct, frozen=True):
    """One user's limits and use, as `GET /v1/llm/quota` tells them."""

    user_id: str
    name: str
    status: str
    daily_requests: Counter
    daily_tokens: Counter
    monthly_spend: Spend
    concurrent_requests: Rate
    requests_per_minute: Rate


class _Models(msgspec.Struct):
    models: list[LLMModel]


class GatewayProvider(DialectProvider):
    """A gateway, and the `dom_` key of one of its users (or the admin token, for `call` on admin routes)."""

    name = "gateway"
    dialect = NATIVE

    def __init__(self, url: str, token: str, provider_key: str = "") -> None:
        """`provider_key` is the value of the header x-dominion-provider-key, "" for none.

        Raises ConfigProblem for an address, a token or a key that cannot be one.
        """
        if not (provider_key.isascii() and provider_key.isprintable()):
            raise ConfigProblem("The provider's key holds characters that no key has.")
        self.url = plain(url)
        self._provider_key = provider_key
        self._connection = Connection(
            self.url, key_headers("bearer", token), read_error, whom="the gateway", unreachable=GatewayUnreachable
        )
        super().__init__(self._connection, COMPLETE)

    def _write(self, options: LLMCompletionOptions, *, stream: bool) -> Written:
        return Written(write_json(options.fields() | {"stream": stream}))

    def _headers(self, options: LLMCompletionOptions) -> Mapping[str, str]:
        asked = {
            "x-dominion-ask": "true" if options.ask_first else "",
            "x-dominion-accept": options.accept or "",
            "x-dominion-max-cost": options.max_cost or "",
            "x-dominion-provider-key": self._provider_key,
        }
        return {name: value for name, value in asked.items() if value}

    def _failure(self, event: Failed) -> DominionError:
        return build_error(ErrorBody(event.kind, event.message))

    def _respond(self, answer: Answer, written: Written, headers: Mapping[str, str]) -> LLMResponse:
        return replace(
            super()._respond(answer, written, headers),
            provider=headers.get("x-dominion-provider", ""),
            cost_usd=headers.get("x-dominion-cost-usd"),
            lost=tuple(filter(None, headers.get("x-dominion-lost", "").split(","))),
        )

    async def models(self) -> list[LLMModel]:
        """The models that the gateway serves."""
        return understood(await self.call("GET", "/v1/llm/models"), _Models).models

    async def quota(self) -> Quota:
        """What is used and what is left."""
        return understood(await self.call("GET", QUOTA), Quota)

    async def quote(self, options: LLMCompletionOptions, models: Sequence[str] = ()) -> dict[str, Any]:
        """What a request would cost, with each of `models` or with its own: the answer of `POST /v1/llm/quote`."""
        named = {"models": list(models)} if models else {}
        return await self.call("POST", QUOTE, options.fields() | named)

    async def call(
        self, method: str, path: str, fields: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Any other JSON route."""
        body = None if fields is None else write_json(fields)
        answer = await self._connection.call(method, path, body, query)
        try:
            return understood(msgspec.json.decode(answer), dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _foreign(error) from error


def understood(fields: Any, shape: type[T]) -> T:
    """An answer as what it should be. Raises UnexpectedResponse."""
    try:
        return msgspec.convert(fields, shape)
    except msgspec.ValidationError as error:
        raise _foreign(error) from error


def _foreign(error: Exception) -> UnexpectedResponse:
    return UnexpectedResponse(
        f"The answer is not what a Dominion gateway sends: {error}.",
        provider="the gateway",
        action="Check that the address (DOMINION_API_URL, or gateway.url) leads to a Dominion gateway.",
    )
