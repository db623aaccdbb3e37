"""Counting the tokens of a request of the Anthropic Messages API, at Anthropic and in the clouds that serve it.

Anthropic and Vertex AI take a request without anything that an answer would need, Vertex AI with the model inside;
Bedrock takes the request of a completion, whole and in base64. Sources: Anthropic's SDK, botocore's service model.
"""

import binascii
from collections.abc import Mapping

import msgspec

from dominion.domain.contracts import Fields
from dominion.domain.messages import Request
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.anthropic.request import own_seals
from dominion.wire.anthropic_cloud import BEDROCK_INVOKE, BedrockInvoke
from dominion.wire.fields import decode_answer, read_object, splice

_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})
"""All that counting takes of what we write; anything else is an error there."""
_VERTEX = {"anthropic_version": b'"vertex-2023-10-16"'}


class _Counted(msgspec.Struct):
    input_tokens: int


class _CountedByBedrock(msgspec.Struct, rename="camel"):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Counted)
_BEDROCK_COUNT = msgspec.json.Decoder(_CountedByBedrock)


def capped(fields: Fields) -> Fields:
    """A request to count, with the output cap that completions must have, above any budget for thinking."""
    return {"max_tokens": msgspec.Raw(b"1000000"), **fields}


def patch_count_request(fields: Fields, *, model: str, vertex: bool = False) -> bytes:
    """A caller's request for Anthropic, or for Vertex AI."""
    changes = {"model": msgspec.json.encode(model), **(_VERTEX if vertex else {})}
    messages = own_seals(fields)
    return splice(fields, changes | ({} if messages is None else {"messages": messages}))


def write_count_request(request: Request, *, model: str, vertex: bool = False) -> bytes:
    """A request for Anthropic, or for Vertex AI."""
    body = ANTHROPIC_MESSAGES.write_request(request, model=model, output_cap=None).body
    counted = {name: raw for name, raw in read_object(body, "").items() if name in _COUNTED}
    return splice(counted, _VERTEX if vertex else {})


def patch_bedrock_request(fields: Fields, *, model: str, carried: Mapping[bytes, bytes]) -> bytes:
    """A caller's request for Bedrock; `carried` are the headers that came with it."""
    cloud, fields = BedrockInvoke(), capped(fields)
    peek = cloud.peek(fields)
    return _enclosed(cloud.patch(cloud.carry(fields, carried), peek, model=model, output_cap=None))


def write_bedrock_request(request: Request, *, model: str) -> bytes:
    """A request for Bedrock."""
    return _enclosed(BEDROCK_INVOKE.write_request(request, model=model, output_cap=None).body)


def read_count_answer(body: bytes) -> int:
    """Tokens, as Anthropic and Vertex AI tell them. Raises UnexpectedResponse."""
    return decode_answer(_COUNT, body).input_tokens


def read_bedrock_answer(body: bytes) -> int:
    """Tokens, as Bedrock tells them. Raises UnexpectedResponse."""
    return decode_answer(_BEDROCK_COUNT, body).input_tokens


def write_count_answer(tokens: int) -> bytes:
    """The answer for a caller."""
    return msgspec.json.encode({"input_tokens": tokens})


def _enclosed(body: bytes) -> bytes:
    return b'{"input":{"invokeModel":{"body":"%b"}}}' % binascii.b2a_base64(body, newline=False)
