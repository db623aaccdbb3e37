"""Counting tokens in the Gemini API: `:countTokens`, asked and answered, in both roles. Never counts by itself.

AI Studio takes bare contents, or a whole request as `generateContentRequest`; Vertex takes the whole request bare.
"""

import msgspec

from dominion.domain.contracts import Fields, Written
from dominion.domain.messages import Request
from dominion.wire.fields import decode_answer, read_object, splice
from dominion.wire.gemini.request import IN_ADDRESS, read_request
from dominion.wire.gemini.request_writing import write_request
from dominion.wire.gemini.spelling import guarded

_WRAPPER = "generateContentRequest"


class _Count(msgspec.Struct, rename="camel"):
    total_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


def read_count_request(fields: Fields) -> Request:
    """What is to be counted, as a request; the door has put the model among the fields. Raises InvalidRequest."""
    wrapper = guarded(fields).get(_WRAPPER)
    if wrapper is None:
        return read_request(fields)
    inner = read_object(fields[wrapper], wrapper)
    return read_request({**inner, **{name: fields[name] for name in IN_ADDRESS if name in fields}})


def patch_count_request(fields: Fields, *, model: str) -> bytes:
    """The body for a provider of this dialect; the model stands in the address, and once more in the wrapper."""
    kept = {name: raw for name, raw in fields.items() if name not in IN_ADDRESS}
    wrapper = guarded(fields).get(_WRAPPER)
    if wrapper is None:
        return splice(kept, {})
    return splice(kept, {wrapper: splice(read_object(fields[wrapper], wrapper), {"model": _name(model)})})


def write_count_request(request: Request, *, model: str, wrapped: bool) -> Written:
    """The body for a provider; `wrapped` for AI Studio, bare for Vertex."""
    written = write_request(request, model=model, output_cap=None)
    if not wrapped:
        return written
    inner = splice(read_object(written.body, ""), {"model": _name(model)})
    return Written(b'{"%b":%b}' % (_WRAPPER.encode(), inner), written.lost)


def read_count_answer(body: bytes) -> int:
    """Tokens. Raises UnexpectedResponse."""
    return decode_answer(_COUNT, body).total_tokens


def write_count_answer(tokens: int) -> bytes:
    """The answer for a caller."""
    return msgspec.json.encode({"totalTokens": tokens})


def _name(model: str) -> bytes:
    return msgspec.json.encode(f"models/{model}")
