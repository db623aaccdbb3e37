"""Embeddings of vendors with a shape of their own: Gemini, Cohere, Ollama and Voyage. Never decodes a number.

Sources: the vendors' API references, and recordings of all but Ollama's /api/embed.
"""

from typing import Any

import msgspec

from dominion.domain.contracts import Written
from dominion.domain.errors import InvalidRequest, UnexpectedResponse
from dominion.domain.usage import Usage
from dominion.wire.embedding.dialect import EmbeddingAnswer, EmbeddingDialect, EmbeddingRequest, counted, usage_of
from dominion.wire.fields import decode_answer


class _Values(msgspec.Struct):
    values: msgspec.Raw


class _Gemini(msgspec.Struct):
    embeddings: list[_Values] | None = None
    embedding: _Values | None = None
    usage: Any = msgspec.field(default=None, name="usageMetadata")


class _ByType(msgspec.Struct):
    floats: list[msgspec.Raw] = msgspec.field(name="float")


class _Cohere(msgspec.Struct):
    embeddings: _ByType
    meta: Any = None


class _Ollama(msgspec.Struct):
    embeddings: list[msgspec.Raw]
    model: str | None = None
    prompt_eval_count: Any = None


class _Vector(msgspec.Struct):
    embedding: msgspec.Raw
    index: int = 0


class _Voyage(msgspec.Struct):
    data: list[_Vector]
    model: str | None = None
    usage: Any = None


_GEMINI = msgspec.json.Decoder(_Gemini)
_COHERE = msgspec.json.Decoder(_Cohere)
_OLLAMA = msgspec.json.Decoder(_Ollama)
_VOYAGE = msgspec.json.Decoder(_Voyage)


class GeminiBatch:
    """`EmbeddingDialect` for :batchEmbedContents. Only the newer models tell their usage."""

    name = "gemini_batch_embed"
    path = "/v1beta/models/{model}:batchEmbedContents"

    def write_request(self, request: EmbeddingRequest, *, model: str) -> Written:
        """One request for each text."""
        named = {"model": f"models/{model}"}
        return _written({"requests": [named | _gemini(request, each) for each in request.texts]}, request)

    def read_answer(self, body: bytes) -> EmbeddingAnswer:
        """The vectors of a batch, or the one of a single request."""
        told = decode_answer(_GEMINI, body)
        found = told.embeddings if told.embeddings is not None else [told.embedding] if told.embedding else None
        if found is None:
            raise UnexpectedResponse("The provider's answer holds no embeddings.")
        return EmbeddingAnswer("", tuple(each.values for each in found), _within(told.usage, "promptTokenCount"))


class GeminiSingle(GeminiBatch):
    """`EmbeddingDialect` for :embedContent, the only one that some models have at Vertex AI."""

    name = "gemini_embed"
    path = "/v1beta/models/{model}:embedContent"

    def write_request(self, request: EmbeddingRequest, *, model: str) -> Written:  # noqa: ARG002 - it is in the path
        """The request for one text. Raises InvalidRequest for more."""
        if len(request.texts) > 1:
            raise InvalidRequest("This model takes one text with each request.", param="input")
        return _written(_gemini(request, request.texts[0]), request)


class Cohere:
    """`EmbeddingDialect` for Cohere's /v2/embed, which insists on a purpose; what is billed counts."""

    name = "cohere_embed"
    path = "/v2/embed"

    def write_request(self, request: EmbeddingRequest, *, model: str) -> Written:
        """The request; texts without a purpose are taken as documents."""
        purpose = {"input_type": f"search_{request.purpose or 'document'}", "embedding_types": ["float"]}
        size = {"output_dimension": request.dimensions}
        return _written({"model": model, "texts": request.texts, **purpose, **size}, request)

    def read_answer(self, body: bytes) -> EmbeddingAnswer:
        """The vectors of the type that was asked for."""
        told = decode_answer(_COHERE, body)
        billed = told.meta.get("billed_units") if isinstance(told.meta, dict) else None
        return EmbeddingAnswer("", tuple(told.embeddings.floats), _within(billed, "input_tokens"))


class Ollama:
    """`EmbeddingDialect` for Ollama's /api/embed, which knows no purpose."""

    name = "ollama_embed"
    path = "/api/embed"

    def write_request(self, request: EmbeddingRequest, *, model: str) -> Written:
        """The request, which refuses what is longer than the model's window rather than to cut it in silence."""
        written = _written(
            {"model": model, "input": request.texts, "truncate": False, "dimensions": request.dimensions}, request
        )
        return msgspec.structs.replace(written, lost=(*written.lost, "input_type")) if request.purpose else written

    def read_answer(self, body: bytes) -> EmbeddingAnswer:
        """The vectors."""
        told = decode_answer(_OLLAMA, body)
        return EmbeddingAnswer(told.model or "", tuple(told.embeddings), counted(told.prompt_eval_count))


class Voyage:
    """`EmbeddingDialect` for Voyage's /v1/embeddings: nearly OpenAI's shape, with other names."""

    name = "voyage_embed"
    path = "/v1/embeddings"

    def write_request(self, request: EmbeddingRequest, *, model: str) -> Written:
        """The request; vectors come as the caller wants them, but numbers have no name there."""
        packed = "base64" if request.encoding == "base64" else None
        body = {"model": model, "input": request.texts, "truncation": False, "encoding_format": packed}
        purpose = {"input_type": request.purpose or None, "output_dimension": request.dimensions}
        return _written(body | purpose, request)

    def read_answer(self, body: bytes) -> EmbeddingAnswer:
        """The vectors, in the order of the texts."""
        told = decode_answer(_VOYAGE, body)
        vectors = tuple(each.embedding for each in sorted(told.data, key=lambda each: each.index))
        return EmbeddingAnswer(told.model or "", vectors, usage_of(told.usage))


def _gemini(request: EmbeddingRequest, each: str) -> dict[str, Any]:
    purpose = {"taskType": f"RETRIEVAL_{request.purpose.upper()}"} if request.purpose else {}
    size = {"outputDimensionality": request.dimensions} if request.dimensions else {}
    return {"content": {"parts": [{"text": each}]}, **purpose, **size}


def _written(body: dict[str, Any], request: EmbeddingRequest) -> Written:
    """Fields that are None stay out."""
    return Written(
        msgspec.json.encode({name: value for name, value in body.items() if value is not None}), request.unread
    )


def _within(told: object, name: str) -> Usage | None:
    return counted(told.get(name)) if isinstance(told, dict) else None


EMBEDDING_DIALECTS: tuple[EmbeddingDialect, ...] = (GeminiBatch(), GeminiSingle(), Cohere(), Ollama(), Voyage())
"""All of them; those of OpenAI's own shape need none."""
