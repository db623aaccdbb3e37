"""Requests on the way in: who, from where, and the body within its limit."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from dominion.domain.errors import InvalidRequest, TooLarge, Unauthenticated, WrongMediaType
from dominion.domain.usage import nano_from_usd

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]
LONGEST_LABEL = 128


class CallerGone(Exception):
    """The caller left before the request was complete."""


def bearer(headers: Headers) -> str:
    """The key of a request, from `authorization: Bearer` or `x-api-key`; "" when there is none.

    Raises InvalidRequest when both are there and differ, so that no two parts of a system can disagree on who calls.
    """
    header = headers.get(b"authorization", b"")
    scheme, _, token = header.partition(b" ")
    given = token.strip() if scheme.lower() == b"bearer" else b""
    other = headers.get(b"x-api-key", b"").strip()
    if given and other and given != other:
        raise InvalidRequest("The request carries two different keys.", action="Send one key.")
    return (given or other).decode("latin-1")


def with_google_key(headers: Headers, query: bytes) -> Headers:
    """The headers with the key where every other caller has it: Google's clients send it as `x-goog-api-key`, or as
    `key` in the query, which must never reach a log.

    Raises InvalidRequest when there are two that differ.
    """
    asked = [value.encode("latin-1") for name, value in parse_qsl(query.decode("latin-1")) if name == "key"]
    given = {key for key in (headers.get(b"x-goog-api-key", b"").strip(), *asked) if key}
    if not given:
        return headers
    other = bearer(headers).encode("latin-1")
    if len(given | {other or min(given)}) > 1:
        raise InvalidRequest("The request carries two different keys.", action="Send one key.")
    return {**headers, b"authorization": b"Bearer " + given.pop()}


def key_of(headers: Headers) -> str:
    """The caller's key. Raises Unauthenticated when there is none."""
    token = bearer(headers)
    if not token:
        raise Unauthenticated("There is no API key in the request.")
    return token


def label(headers: Headers, name: bytes) -> str:
    """A label that the caller gives its request. Raises InvalidRequest when it is long or holds control characters."""
    text = headers[name].decode("latin-1").strip()
    if len(text) > LONGEST_LABEL or not text.isprintable():
        shown = name.decode("ascii")
        raise InvalidRequest(f"{shown} has at most {LONGEST_LABEL} printable characters.", param=shown)
    return text


def address_of(client: tuple[str, int] | None, headers: Headers, trusted: frozenset[str]) -> str:
    """The caller's address: the peer's, or what a trusted proxy says in `x-forwarded-for`."""
    address = client[0] if client else "local"
    if address in trusted:
        for hop in reversed(headers.get(b"x-forwarded-for", b"").split(b",")):
            said = hop.strip().decode("latin-1")
            if said and said not in trusted:
                return said[:64]
    return str(address)


def max_cost(value: bytes) -> int:
    """The header x-dominion-max-cost, US dollars as decimal text, in nano-dollars. Raises InvalidRequest."""
    try:
        return nano_from_usd(value.decode("latin-1"))
    except ValueError as error:
        raise InvalidRequest(f"x-dominion-max-cost: {error}.", param="x-dominion-max-cost") from error


def check_json(headers: Headers, limit: int) -> None:
    """Refuse a body by its headers. Raises WrongMediaType, TooLarge."""
    kind = headers.get(b"content-type", b"application/json")
    if b"json" not in kind.lower():
        raise WrongMediaType(f"The body has the content type {kind.decode('latin-1')[:80]!r}, not JSON.")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise WrongMediaType("Compressed bodies are not accepted.", action="Send the body without content-encoding.")
    length = headers.get(b"content-length", b"0")
    if len(length) > 15 or int(length) > limit:  # noqa: PLR2004 - longer than any length that could be meant
        raise TooLarge(f"The body is larger than {limit} bytes.")


async def read_body(receive: Callable[[], Awaitable[Any]], limit: int) -> bytes:
    """The body of at most `limit` bytes. Raises TooLarge, CallerGone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        if not message.get("more_body", False):
            return b"".join(parts)
