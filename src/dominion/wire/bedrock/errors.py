"""Errors of Amazon Bedrock, as answers and inside streams, for every API it has. Never lets a credential through.

The name of an error stands in the header `x-amzn-errortype`, which is not seen here; the words of its message tell the
same (recorded for validation and expired credentials, reference/providers.md 1.7; else as AWS documents them).
"""

import re
from typing import Any

import msgspec

from dominion.domain.errors import DominionError, ProviderError, UnexpectedResponse
from dominion.domain.messages import Failed
from dominion.wire.bedrock.eventstream import Message, encode
from dominion.wire.fields import decode_answer
from dominion.wire.openai_chat import errors as openai_chat_errors
from dominion.wire.openai_chat.errors import mask

_LONGEST_MESSAGE = 2000
_UNAVAILABLE = 503
_RULES = tuple(
    (statuses, re.compile(words, re.IGNORECASE), sorted_by, code)
    for statuses, words, sorted_by, code in (
        ({400, 413, 424}, r"input is too long|too many input tokens", 400, "context_length_exceeded"),
        ({400}, r"model identifier is invalid|on-demand throughput|end of its life", 404, "model_not_found"),
        ({403}, r"(?:access to|access denied for) the model|model access", 404, "model_not_found"),
        ({404}, r"resource|profile|throughput", 404, "model_not_found"),
        ({400}, r"service quota|ServiceQuotaExceeded", 402, ""),
        ({400}, r"security token|UnrecognizedClient|signature", 401, ""),
        ({429}, r"not ready|ModelNotReady", _UNAVAILABLE, ""),
        ({424}, r"", _UNAVAILABLE, ""),
    )
)
"""Statuses and words that must both fit; then the status by which the error is sorted, and a word for its code."""


class _Told(msgspec.Struct):
    message: Any = None
    capital: Any = msgspec.field(default=None, name="Message")
    kind: Any = msgspec.field(default=None, name="__type")


_TOLD = msgspec.json.Decoder(_Told)


def read_error(provider: str, status: int, body: bytes) -> ProviderError:
    """A provider's error answer, sorted into the tree. Never raises."""
    message, kind = _tell(body)
    sorted_by, code = next(
        (
            (other, code)
            for statuses, words, other, code in _RULES
            if status in statuses and words.search(f"{kind} {message}")
        ),
        (status, ""),
    )
    plain = msgspec.json.encode({"message": message, "type": kind, "code": code})
    error = openai_chat_errors.read_error(provider, sorted_by, plain)
    error.status = status
    return error


def read_failure(message: Message) -> Failed:
    """An exception inside a stream."""
    words, _ = _tell(message.payload)
    return Failed(mask(words or str(message.headers.get(":error-message", "")))[:_LONGEST_MESSAGE], message.failure)


def write_error(error: DominionError, request_id: str) -> bytes:
    """{"message", "code", "action", "request_id"}, with the details of its class."""
    fields: dict[str, Any] = {"message": error.message, "code": error.code, "action": error.action}
    return msgspec.json.encode(fields | error.details | {"request_id": request_id})


def write_failure(payload: bytes) -> bytes:
    """The exception that ends a stream."""
    kind = {":exception-type": "internalServerException", ":content-type": "application/json"}
    return encode(kind | {":message-type": "exception"}, payload)


def _tell(body: bytes) -> tuple[str, str]:
    """The message and the name of the error, if the body says it; a body that is no JSON is the message itself."""
    try:
        told = decode_answer(_TOLD, body)
    except UnexpectedResponse:
        words = body[:_LONGEST_MESSAGE].decode(errors="replace").strip()
        return ("" if words.startswith("<") else words), ""
    words = told.message or told.capital
    kind = str(told.kind or "").rpartition("#")[2]
    return (words if isinstance(words, str) else ""), kind
