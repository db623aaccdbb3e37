"""What every provider of the caller's side is: the base class, what it is asked and what it answers."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from dominion.domain.errors import InvalidRequest


class LLMUsage(msgspec.Struct, frozen=True, rename="camel"):
    """Tokens of one answer; zeros when the provider did not say. In JSON: `promptTokens` and so on."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class LLMToolCall(msgspec.Struct, frozen=True):
    """The model asks for a tool. `arguments` is JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class LLMResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer.

    `cost_usd` is a decimal string, or None where it is not told: by direct providers, and in streams, whose headers
    leave before the cost is known. `lost` names request fields that had no place in the provider's API.
    """

    content: str = ""
    usage: LLMUsage = LLMUsage()
    model: str = ""
    provider: str = ""
    finish_reason: str = "stop"
    cost_usd: str | None = None
    id: str = ""
    tool_calls: tuple[LLMToolCall, ...] = ()
    lost: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The response as JSON has it; the usage with the names `promptTokens`, `completionTokens`, `totalTokens`."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


class LLMModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model that can be asked for; None where the provider does not say. Sizes are in tokens.

    `abilities` as in `domain.providers.ModelRow`. `deprecated` says what to use instead.
    """

    id: str
    provider: str = ""
    name: str | None = None
    context_window: int | None = None
    max_output: int | None = None
    input_usd_per_million: str | None = None
    output_usd_per_million: str | None = None
    cache_read_usd_per_million: str | None = None
    cache_write_usd_per_million: str | None = None
    cost_per_input_token: str | None = None
    cost_per_output_token: str | None = None
    supports_streaming: bool = True
    abilities: tuple[str, ...] = ()
    available: bool = True
    deprecated: str | None = None


class LLMCompletionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is asked.

    `messages` are `{"role": ..., "content": ...}`. None leaves a value to the provider. `extra` holds further fields of
    the request by the names of the native API (`tools`, `top_p`, `stop`, ...).

    A gateway may let another model stand in for one that does not answer. `ask_first`: it raises SwitchProposed
    instead; `accept` is the `model` of such an error, and runs it. Other providers never switch. `max_cost`: it raises
    MaxCostExceeded rather than run what may cost more US dollars, as decimal text; only a gateway can.
    """

    messages: Sequence[Mapping[str, Any]]
    model: str | None = None
    provider: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    extra: Mapping[str, Any] = {}
    ask_first: bool = False
    accept: str | None = None
    max_cost: str | None = None

    def fields(self) -> dict[str, Any]:
        """The fields of a native request, without those that are None."""
        named = {
            "provider": self.provider,
            "model": self.model,
            "messages": list(self.messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }
        return {name: value for name, value in named.items() if value is not None} | dict(self.extra)


class LLMProvider(ABC):
    """A source of answers. A custom one sets `name` and writes `complete`; the rest is optional."""

    name: ClassVar[str]

    @abstractmethod
    async def complete(self, options: LLMCompletionOptions) -> LLMResponse:
        """The whole answer. Raises errors of `dominion.domain.errors`."""

    async def stream(self, options: LLMCompletionOptions) -> AsyncIterator[str | LLMResponse]:
        """Pieces of the text as they come, and at last the whole answer. Raises errors of `dominion.domain.errors`."""
        response = await self.complete(options)
        if response.content:
            yield response.content
        yield response

    async def models(self) -> list[LLMModel]:
        """The models that can be asked for; empty when the provider cannot say."""
        return []

    async def aclose(self) -> None:  # noqa: B027 - most have nothing to close
        """Close connections. The provider is not used afterwards."""


def write_json(fields: Any) -> bytes:
    """The body of a request, or a value in it. Raises InvalidRequest for values that JSON does not have."""
    try:
        return msgspec.json.encode(fields)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"The request cannot be written as JSON: {error}.") from error
