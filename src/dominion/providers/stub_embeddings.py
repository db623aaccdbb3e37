"""The stub's embeddings in the OpenAI shape: vectors made from the text alone. Pure; their nearness means nothing.

The models are those of `providers.stub`, with their times and faults: what they would say makes no difference here.
"""

import base64
import struct
from collections.abc import Iterator
from hashlib import shake_256
from typing import Annotated, Any, Literal

import msgspec

from dominion.providers.stub import Step, at_once, failure, read_name
from dominion.providers.stub_answer import count

_DIMENSIONS = 8


class _Request(msgspec.Struct, frozen=True):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None


def plan_embeddings(body: bytes) -> Iterator[Step]:
    """The steps that answer a request; the same body gives the same steps. Never raises, as `stub.plan`."""
    try:
        request = msgspec.json.decode(body, type=_Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        return failure(400, f"The stub cannot read the request: {problem}")
    model = read_name(request.model)
    if model is None:
        return failure(404, f"The stub has no model {request.model[:100]!r}.")
    if model.kind == "fail":
        return failure(model.first, f"The stub fails with status {model.first}, as its model name asks.")
    inputs = _inputs(request.input)
    tokens = sum(count(each) if isinstance(each, str) else len(each) for each in inputs)
    vectors = [_vector(each, request.dimensions or _DIMENSIONS) for each in inputs]
    answer: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, request.encoding_format)}
            for index, vector in enumerate(vectors)
        ],
        "model": request.model,
    }
    if model.kind != "no-usage":
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return at_once(model, msgspec.json.encode(answer))


def _inputs(given: str | list[str | int | list[int]]) -> list[str | list[int]]:
    """One or more texts or lists of tokens; a bare list of tokens is one input."""
    if isinstance(given, str):
        return [given]
    tokens = [each for each in given if isinstance(each, int)]
    return [tokens] if tokens else [each for each in given if not isinstance(each, int)]


def _vector(of: str | list[int], dimensions: int) -> list[float]:
    """Numbers from -1 to 1 that a 32-bit float holds exactly."""
    drawn = shake_256(repr(of).encode()).digest(2 * dimensions)
    return [number / 2**15 for number in struct.unpack(f"<{dimensions}h", drawn)]


def _encoded(vector: list[float], encoding: str | None) -> list[float] | str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if encoding == "base64" else vector
