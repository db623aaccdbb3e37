"""Embeddings as completions that generate nothing: the same life, with other dialects and other addresses.

`Completions` admits, sends, settles and answers; here is only what it is given for it. Never touches money or sockets.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from dominion.domain.contracts import Call, Dialect, Fields, Peek, Reply, Seen, Written
from dominion.domain.errors import InvalidRequest, ProviderError
from dominion.domain.messages import Answer, Request
from dominion.domain.providers import ModelRow, Slot, Target
from dominion.services.completions.completion import Completions
from dominion.services.offer.routing import Resolver, Routing
from dominion.wire.embedding import dialect as embeddings
from dominion.wire.embedding.dialect import EmbeddingAnswer, EmbeddingDialect, EmbeddingRequest
from dominion.wire.embedding.translated import Cohere, GeminiBatch, GeminiSingle, Ollama, Voyage
from dominion.wire.fields import text, whole
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.ollama.dialect import OLLAMA_CHAT
from dominion.wire.openai_chat.dialect import OPENAI_CHAT, OpenAIChat

_MOST_DIMENSIONS = 1 << 20
_STUB_ADDRESS = b"POST /v1/embeddings HTTP/1.1\r\n"


class Texts(Request, frozen=True, kw_only=True):
    """A request for embeddings, on its way to a dialect that writes it."""

    asked: EmbeddingRequest


class Vectors(Answer, frozen=True):
    """An answer that is vectors."""

    vectors: tuple[msgspec.Raw, ...] = ()


class OpenAIEmbeddings(OpenAIChat):
    """`Dialect` for OpenAI's embeddings, which are never streams; errors are those of all its APIs.

    `encoding` is that of answers which must be written, because their provider speaks otherwise.
    """

    speaks = "openai_embeddings"

    def __init__(self, encoding: embeddings.Encoding = "float") -> None:
        super().__init__(self.speaks)
        self._encoding = encoding

    def peek(self, fields: Fields) -> Peek:
        """What routing and admission need: nothing is generated. Raises InvalidRequest."""
        whole(fields, "dimensions", 1, _MOST_DIMENSIONS)
        return Peek(model=embeddings.peek(fields).model, stream=False, output_cap=0)

    def carry(self, fields: Fields, carried: Mapping[bytes, bytes]) -> Fields:  # noqa: ARG002 - `Envelope`
        """For the doors of the other encoding: the fields as they are."""
        return fields

    def patch(self, fields: Fields, peek: Peek, *, model: str, output_cap: int | None) -> bytes:  # noqa: ARG002 - Protocol
        """The same request with another model."""
        return embeddings.patch(fields, model=model)

    def read_request(self, fields: Fields) -> Request:
        """The request in words. Raises InvalidRequest, also for tokens."""
        asked = embeddings.read_request(fields)
        return Texts(model=embeddings.peek(fields).model, messages=(), asked=asked, unread=asked.unread)

    def write_answer(self, answer: Answer, *, now: int) -> bytes:  # noqa: ARG002 - the API's answers have no time
        """The answer of a provider that speaks otherwise."""
        vectors = cast("Vectors", answer).vectors
        return embeddings.write_answer(
            EmbeddingAnswer(answer.model, vectors, answer.usage), model=answer.model, encoding=self._encoding
        )

    def read_seen(self, body: bytes) -> Seen:
        """The usage of a relayed answer. Raises UnexpectedResponse when it is not JSON."""
        return Seen(usage=embeddings.read_usage(body), done=True)


class Translated(OpenAIChat):
    """`Dialect` towards a provider whose embeddings have a shape of their own; `errors` knows its errors."""

    def __init__(self, dialect: EmbeddingDialect, errors: Dialect) -> None:
        super().__init__(dialect.name)
        self.speaks = dialect.name
        self._dialect = dialect
        self._errors = errors

    def write_request(self, request: Request, *, model: str, output_cap: int | None) -> Written:  # noqa: ARG002 - Protocol
        """The request for a provider, and what was lost on the way."""
        return self._dialect.write_request(cast("Texts", request).asked, model=model)

    def read_answer(self, body: bytes) -> Answer:
        """A provider's answer. Raises UnexpectedResponse."""
        answer = self._dialect.read_answer(body)
        return Vectors("", answer.model, (), "stop", answer.usage, vectors=answer.vectors)

    def read_error(self, provider: str, status: int, body: bytes) -> ProviderError:
        """A provider's error. Never raises."""
        return self._errors.read_error(provider, status, body)


OPENAI_EMBEDDINGS: Dialect = OpenAIEmbeddings()
_BASE64: Dialect = OpenAIEmbeddings("base64")
_BATCH, _SINGLE, _COHERE, _OLLAMA, _VOYAGE = GeminiBatch(), GeminiSingle(), Cohere(), Ollama(), Voyage()
EMBEDDINGS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        OPENAI_EMBEDDINGS,
        Translated(_BATCH, GEMINI),
        Translated(_SINGLE, GEMINI),
        Translated(_COHERE, OPENAI_CHAT),
        Translated(_OLLAMA, OLLAMA_CHAT),
        Translated(_VOYAGE, OPENAI_CHAT),
    )
}
_OF_PROVIDERS: Mapping[str, tuple[EmbeddingDialect, bytes, bytes]] = {
    "cohere": (_COHERE, b"/compatibility/v1/chat/completions", b"/v2/embed"),
    "voyage": (_VOYAGE, b"/chat/completions", b"/embeddings"),
}
"""Provider ids whose own API keeps more than their compatible one: the dialect, and the ends of the addresses."""
_OF_ADDRESSES: tuple[tuple[str, bytes, bytes], ...] = (
    (OPENAI_EMBEDDINGS.name, b"/chat/completions", b"/embeddings"),
    (OPENAI_EMBEDDINGS.name, b"/responses", b"/embeddings"),
    (_BATCH.name, b"/v1beta/models/{model}:generateContent", b"/v1beta/models/{model}:batchEmbedContents"),
    (_SINGLE.name, b"{model}:generateContent", b"{model}:embedContent"),
    (_OLLAMA.name, b"/api/chat", b"/api/embed"),
)
"""Dialects of embeddings by how the address of completions ends, and how that of embeddings does instead."""


class EmbeddingCatalogue:
    """A `Resolver` whose slots lead to embeddings."""

    def __init__(self, catalogue: Resolver) -> None:
        self._catalogue = catalogue

    def resolve(self, model: str, provider: str, slots: Sequence[Slot]) -> list[tuple[Slot, str, ModelRow | None]]:
        """Slots that can embed, best first. Raises UnknownModel, UnknownProvider or InvalidRequest.

        There is no "auto": vectors of two models cannot be compared, so no default may ever change under a caller.
        """
        if model.rpartition("/")[2] in ("", "auto"):
            raise InvalidRequest("Name the model of the embeddings; there is no default.", param="model")
        found = self._catalogue.resolve(model, provider, slots)
        able = [(there, sends, row) for slot, sends, row in found if (there := embedding_slot(slot)) is not None]
        if not able:
            raise InvalidRequest(
                f"{found[0][0].row.name} has no embeddings.", action="Use a model of another provider.", param="model"
            )
        return able


class Embeddings:
    """Answers calls for embeddings; `completions` is one over `routing`, whose catalogue is an `EmbeddingCatalogue`."""

    def __init__(self, completions: Completions, routing: Routing) -> None:
        self._completions = completions
        self._routing = routing

    async def answer(self, call: Call, reply: Reply) -> None:
        """See `Completions.answer`. A translated answer has the encoding that the caller asked for."""
        if text(call.fields, "encoding_format") == "base64":
            routes = self._routing.routes(call.door.peek(call.fields).model, "auto")
            if any(route.dialect is not call.door for route in routes):
                call = msgspec.structs.replace(call, door=_BASE64)
        await self._completions.answer(call, reply)


def embedding_slot(slot: Slot) -> Slot | None:
    """The slot with the address and dialect of its embeddings; None where there are none."""
    if slot.target.origin.scheme == "stub":
        return _slot(slot, OPENAI_EMBEDDINGS.name, Target(slot.target.origin, _STUB_ADDRESS))
    special = _OF_PROVIDERS.get(slot.row.id)
    ends = [(special[0].name, *special[1:])] if special else []
    for name, old, new in (*ends, *_OF_ADDRESSES):
        target = slot.target.ending(old, new)
        if target is not None:
            return _slot(slot, name, target)
    return None


def _slot(slot: Slot, wire: str, target: Target) -> Slot:
    row = msgspec.structs.replace(slot.row, wire=wire)
    return msgspec.structs.replace(slot, row=row, target=target, stream_target=None)
