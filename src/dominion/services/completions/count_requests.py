"""How each API counts the tokens of a request: as a door, and towards providers. Asks nobody."""

from collections.abc import Mapping
from typing import Protocol

from dominion.domain.contracts import Dialect, Fields
from dominion.domain.messages import Request
from dominion.domain.providers import Target
from dominion.services.offer.routing import Route
from dominion.wire import anthropic_count
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.anthropic_cloud import ANTHROPIC_VERTEX, BEDROCK_INVOKE
from dominion.wire.anthropic_count import capped
from dominion.wire.bedrock.dialect import BEDROCK_CONVERSE
from dominion.wire.fields import read_object, splice
from dominion.wire.gemini import count as gemini_count
from dominion.wire.gemini.dialect import GEMINI

Carried = Mapping[bytes, bytes]
_WRAPPERS = ("generateContentRequest", "generate_content_request")
_CONVERSE = frozenset({"messages", "system", "toolConfig", "additionalModelRequestFields"})
"""All that Bedrock's counting takes of a request."""


class ProviderCounter(Protocol):
    """How a provider counts. `partial`: not all its models can be counted, and then it refuses the request."""

    dialect: Dialect
    partial: bool

    def at(self, target: Target) -> Target | None:
        """Where it counts, by the address of its completions; None where it does not."""

    def patch(self, fields: Fields, model: str, carried: Carried) -> bytes:
        """The request of a caller of the dialect that it speaks; `carried` are the headers that came with it."""

    def write_request(self, request: Request, route: Route) -> bytes:
        """The request of any other."""

    def read_answer(self, body: bytes) -> int:
        """Tokens. Raises UnexpectedResponse."""


class DoorCounter(ProviderCounter, Protocol):
    """How callers of a door have it counted."""

    def model(self, fields: Fields) -> str:
        """The model of a request to count. Raises InvalidRequest."""

    def read_request(self, fields: Fields) -> Request:
        """What is to be counted. Raises InvalidRequest."""

    def write_answer(self, tokens: int) -> bytes:
        """The answer for a caller."""


class AnthropicCounter:
    """For /v1/messages/count_tokens, whose requests have no output cap."""

    dialect, partial = ANTHROPIC_MESSAGES, False
    read_answer = staticmethod(anthropic_count.read_count_answer)
    write_answer = staticmethod(anthropic_count.write_count_answer)

    def at(self, target: Target) -> Target | None:
        """See `ProviderCounter`."""
        return target.ending(b"/messages", b"/messages/count_tokens")

    def model(self, fields: Fields) -> str:
        """See `DoorCounter`."""
        return self.dialect.peek(capped(fields)).model

    def read_request(self, fields: Fields) -> Request:
        """See `DoorCounter`."""
        return self.dialect.read_request(capped(fields))

    def patch(self, fields: Fields, model: str, carried: Carried) -> bytes:  # noqa: ARG002 - Protocol
        """See `ProviderCounter`."""
        return anthropic_count.patch_count_request(fields, model=model)

    def write_request(self, request: Request, route: Route) -> bytes:
        """See `ProviderCounter`."""
        return anthropic_count.write_count_request(request, model=route.sends)


class VertexClaudeCounter(AnthropicCounter):
    """For Claude on Vertex AI, where all its models are counted at one address."""

    dialect = ANTHROPIC_VERTEX

    def at(self, target: Target) -> Target | None:
        """See `ProviderCounter`."""
        model = target.path.rpartition(b"/")[2]
        return target.ending(model, b"count-tokens:rawPredict") if model.endswith(b":rawPredict") else None

    def patch(self, fields: Fields, model: str, carried: Carried) -> bytes:  # noqa: ARG002 - Protocol
        """See `ProviderCounter`."""
        return anthropic_count.patch_count_request(fields, model=model, vertex=True)

    def write_request(self, request: Request, route: Route) -> bytes:
        """See `ProviderCounter`."""
        return anthropic_count.write_count_request(request, model=route.sends, vertex=True)


class BedrockClaudeCounter:
    """For Claude on Bedrock, by the request of a completion."""

    dialect, partial = BEDROCK_INVOKE, True
    read_answer = staticmethod(anthropic_count.read_bedrock_answer)

    def at(self, target: Target) -> Target | None:
        """See `ProviderCounter`."""
        return target.ending(b"/invoke", b"/count-tokens")

    def patch(self, fields: Fields, model: str, carried: Carried) -> bytes:
        """See `ProviderCounter`."""
        return anthropic_count.patch_bedrock_request(fields, model=model, carried=carried)

    def write_request(self, request: Request, route: Route) -> bytes:
        """See `ProviderCounter`."""
        return anthropic_count.write_bedrock_request(request, model=route.sends)


class ConverseCounter:
    """For the other models of Bedrock."""

    dialect, partial = BEDROCK_CONVERSE, True
    read_answer = staticmethod(anthropic_count.read_bedrock_answer)

    def at(self, target: Target) -> Target | None:
        """See `ProviderCounter`."""
        return target.ending(b"/converse", b"/count-tokens")

    def patch(self, fields: Fields, model: str, carried: Carried) -> bytes:  # noqa: ARG002 - Protocol
        """See `ProviderCounter`."""
        return _converse(self.dialect.patch(fields, self.dialect.peek(fields), model=model, output_cap=None))

    def write_request(self, request: Request, route: Route) -> bytes:
        """See `ProviderCounter`."""
        return _converse(self.dialect.write_request(request, model=route.sends, output_cap=None).body)


class GeminiCounter:
    """For :countTokens, of AI Studio and of Vertex AI."""

    dialect, partial = GEMINI, False
    read_request = staticmethod(gemini_count.read_count_request)
    read_answer = staticmethod(gemini_count.read_count_answer)
    write_answer = staticmethod(gemini_count.write_count_answer)

    def at(self, target: Target) -> Target | None:
        """Both have it beside :generateContent."""
        return target.ending(b":generateContent", b":countTokens")

    def model(self, fields: Fields) -> str:
        """The model of the address; the request may be wrapped, which is read when it must be."""
        wrapped = any(name in fields for name in _WRAPPERS)
        return (self.read_request(fields) if wrapped else self.dialect.peek(fields)).model

    def patch(self, fields: Fields, model: str, carried: Carried) -> bytes:  # noqa: ARG002 - Protocol
        """See `ProviderCounter`."""
        return gemini_count.patch_count_request(fields, model=model)

    def write_request(self, request: Request, route: Route) -> bytes:
        """AI Studio wants a whole request wrapped, Vertex AI bare."""
        wrapped = b"/publishers/" not in route.target.path
        return gemini_count.write_count_request(request, model=route.sends, wrapped=wrapped).body


def _converse(body: bytes) -> bytes:
    counted = {name: raw for name, raw in read_object(body, "").items() if name in _CONVERSE}
    return b'{"input":{"converse":%b}}' % splice(counted, {})


DOORS: Mapping[str, DoorCounter] = {counter.dialect.name: counter for counter in (AnthropicCounter(), GeminiCounter())}
PROVIDERS: Mapping[str, ProviderCounter] = {
    **DOORS,
    **{counter.dialect.name: counter for counter in (VertexClaudeCounter(), BedrockClaudeCounter(), ConverseCounter())},
}
"""Both by the names of dialects."""
