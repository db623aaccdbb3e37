"""Embeddings in OpenAI's shape: requests read and relayed, answers read and written. Never reads a vector that it can
carry: the numbers stay the provider's bytes unless the caller wants them in the other form.
"""

import base64
import struct
from typing import Any, Literal, Protocol

import msgspec

from dominion.domain.contracts import Fields, Written
from dominion.domain.errors import InvalidRequest, UnexpectedResponse
from dominion.domain.usage import Usage
from dominion.wire.fields import decode_answer, refuse_lookalikes, splice, text, whole
from dominion.wire.openai_inputs import words_or_tokens

Encoding = Literal["float", "base64"]
Purpose = Literal["", "query", "document"]

_GUARDED = frozenset({"model", "input"})
_READ = _GUARDED | {"encoding_format", "dimensions", "user", "input_type"}
_LONGEST_MODEL = 256
_MOST_DIMENSIONS = 1 << 20
_NOTHING = (b"null", b"false", b"[]", b"{}", b'""')
_FLOAT_BYTES = 4
_ABSURD = 10**12


class EmbeddingPeek(msgspec.Struct, frozen=True):
    """What routing and admission need: the model, how many vectors will come, and the most tokens the input can be.

    The bound is exact for input in tokens; for texts it is their bytes, since no tokenizer in use needs more than one
    token a byte, and two for each text, which some put around it.
    """

    model: str
    inputs: int
    token_bound: int


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """A request in words. `purpose` is what several vendors want to know of a text: whether it is sought or seeks.

    `unread` names fields that have no place in a translation.
    """

    texts: tuple[str, ...]
    dimensions: int | None = None
    encoding: Encoding = "float"
    purpose: Purpose = ""
    unread: tuple[str, ...] = ()


class EmbeddingAnswer(msgspec.Struct, frozen=True):
    """The vectors in the order of the texts, each as JSON: an array of numbers, or little-endian 32-bit floats as a
    base64 string. `usage` is None when the provider did not say.
    """

    model: str
    vectors: tuple[msgspec.Raw, ...]
    usage: Usage | None


class EmbeddingDialect(Protocol):
    """One vendor's way to speak of embeddings, towards providers. Pure."""

    name: str
    path: str
    """Where it is asked, after the provider's base address; `{model}` is where the model's name goes."""

    def write_request(self, request: EmbeddingRequest, *, model: str) -> Written:
        """The request for a provider, and what was lost on the way. Raises InvalidRequest."""

    def read_answer(self, body: bytes) -> EmbeddingAnswer:
        """A provider's answer. Raises UnexpectedResponse."""


class _Told(msgspec.Struct):
    usage: Any = None


_TOLD = msgspec.json.Decoder(_Told)
_FLOATS = msgspec.json.Decoder(list[float])
_STRING = msgspec.json.Decoder(str)


# --- the door


def peek(fields: Fields) -> EmbeddingPeek:
    """What routing and admission need. Raises InvalidRequest."""
    refuse_lookalikes(fields, _READ, _GUARDED)
    model = text(fields, "model")
    if not model or len(model) > _LONGEST_MODEL or not model.isprintable():
        raise InvalidRequest(f"'model' must name a model in at most {_LONGEST_MODEL} characters.", param="model")
    inputs = words_or_tokens(fields, "input")
    return EmbeddingPeek(model, len(inputs), sum(map(_bound, inputs)))


def patch(fields: Fields, *, model: str) -> bytes:
    """The same request with another model, for a provider of the same shape; all other bytes untouched."""
    return splice(fields, {"model": msgspec.json.encode(model)})


def read_request(fields: Fields) -> EmbeddingRequest:
    """The request for a translation. Raises InvalidRequest, also for tokens, which mean nothing to another model.

    `input_type` ("query" or "document") is no field of OpenAI's own, but what its compatible vendors have added.
    """
    texts = tuple(each for each in words_or_tokens(fields, "input") if isinstance(each, str))
    if not texts:
        raise InvalidRequest("Only input in words can be sent to this provider, not in tokens.", param="input")
    encoding, purpose = text(fields, "encoding_format") or "float", text(fields, "input_type") or ""
    if encoding not in ("float", "base64"):
        raise InvalidRequest("'encoding_format' must be float or base64.", param="encoding_format")
    unread = [name for name, raw in fields.items() if name not in _READ and bytes(raw) not in _NOTHING]
    unread += ["user"] if text(fields, "user") else []
    unread += ["input_type"] if purpose not in ("", "query", "document") else []
    return EmbeddingRequest(
        texts=texts,
        dimensions=whole(fields, "dimensions", 1, _MOST_DIMENSIONS),
        encoding="base64" if encoding == "base64" else "float",
        purpose="query" if purpose == "query" else "document" if purpose == "document" else "",
        unread=tuple(sorted(unread)),
    )


def read_usage(body: bytes) -> Usage | None:
    """The usage of an answer that is relayed untouched; None when it tells none. Raises UnexpectedResponse."""
    return usage_of(decode_answer(_TOLD, body).usage)


def usage_of(told: object) -> Usage | None:
    """The `usage` object normalised; Voyage tells the total only, which is the same."""
    if not isinstance(told, dict):
        return None
    return counted(told.get("prompt_tokens", told.get("total_tokens")))


def counted(tokens: object) -> Usage | None:
    """Usage of a count of input tokens; None when it is none."""
    return Usage(input_tokens=tokens) if type(tokens) is int and 0 <= tokens <= _ABSURD else None


def write_answer(answer: EmbeddingAnswer, *, model: str, encoding: Encoding) -> bytes:
    """An answer for a caller who asked for `model`. Raises UnexpectedResponse for a vector that is none.

    Usage that the provider did not tell is 0: the vendor's SDK requires the numbers.
    """
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, encoding)}
        for index, vector in enumerate(answer.vectors)
    ]
    tokens = answer.usage.input_tokens if answer.usage else 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": answer.model or model, "usage": usage})


def _bound(one: str | list[int]) -> int:
    return len(one.encode()) + 2 if isinstance(one, str) else len(one)


def _encoded(vector: msgspec.Raw, encoding: Encoding) -> msgspec.Raw | str | list[float]:
    packed = bytes(vector).startswith(b'"')
    if packed == (encoding == "base64"):
        return vector
    try:
        if packed:
            raw = base64.b64decode(_STRING.decode(vector), validate=True)
            return list(struct.unpack(f"<{len(raw) // _FLOAT_BYTES}f", raw))
        values = _FLOATS.decode(vector)
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    except (ValueError, struct.error, OverflowError) as error:
        raise UnexpectedResponse("The provider sent a vector that is none.") from error
