"""Strict reading of JSON requests and lenient reading of JSON answers. Never decodes what is only carried.

Strict, because every reading that a provider could take differently from us is a way round a cap: duplicate keys, keys
that differ in case only (Go servers take them), numbers beyond a double, NaN, text after the end.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from dominion.domain.contracts import Fields
from dominion.domain.errors import InvalidRequest, TooLarge, UnexpectedResponse

MAX_DEPTH = 64
LARGEST_CAP = 10**9
"""Output tokens that a request may ask for: far beyond any model, and small enough for all sums of money."""

T = TypeVar("T")

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAME = msgspec.json.Decoder(str)
_TEXT = msgspec.json.Decoder(str | None)
_NUMBER = msgspec.json.Decoder(int | float | None)
_FLAG = msgspec.json.Decoder(bool | None)
_KEY = re.compile(rb'[\s{,]*("[^"\\]*(?:\\.[^"\\]*)*")\s*:\s*')
_NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(b'[]{}"'))
_ESCAPES = re.compile(rb"(\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..")


def read_fields(body: bytes) -> Fields:
    """The top level of a request. Raises InvalidRequest, or TooLarge for more than 64 levels of nesting."""
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _refuse_depth(body)
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"The body is not valid UTF-8 at byte {error.start}.") from error
    if not body or body.isspace():
        raise InvalidRequest("The body is empty; a JSON object is expected.")
    return read_object(body, "")


def read_object(raw: bytes | msgspec.Raw, name: str) -> Fields:
    """The fields of a JSON object, each key once; `name` is the field that holds it ("" for the body itself)."""
    try:
        fields = _OBJECT.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{_subject(name)} must be a JSON object.", param=name or None) from error
    except (ValueError, RecursionError) as error:
        detail = str(error).removeprefix("JSON is malformed: ")
        raise InvalidRequest(f"{_subject(name)} is not valid JSON: {detail}.", param=name or None) from error
    # Compact JSON without a duplicate has exactly this length; other spacing takes a longer, equally exact look.
    if len(raw) != len("".join(fields)) + sum(map(len, fields.values())) + 4 * len(fields) + 1:
        _refuse_duplicates(bytes(raw), fields, name)
    return fields


def refuse_lookalikes(fields: Fields, known: frozenset[str], guarded: frozenset[str]) -> None:
    """Refuse names that a case-insensitive server would take for a guarded field: "Max_Tokens" beside "max_tokens"."""
    if not known.issuperset(fields):
        written = {name.casefold(): name for name in guarded}
        for name in fields:
            meant = written.get(name.casefold(), name)
            if meant != name and name not in guarded:
                raise InvalidRequest(f"The field '{name}' must be written '{meant}'.", param=name)


def splice(fields: Fields, changes: Mapping[str, bytes]) -> bytes:
    """The object again, with some values replaced or added at the end; the bytes of all other values are untouched."""
    return msgspec.json.encode({**fields, **{name: msgspec.Raw(value) for name, value in changes.items()}})


def decode(fields: Fields, name: str, decoder: msgspec.json.Decoder[T]) -> T | None:
    """One field decoded; None when absent. Raises InvalidRequest that names the place."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError) as error:
        detail, _, path = str(error).partition(" - at `")
        where = path.rstrip("`").replace("$", name, 1) or name
        raise InvalidRequest(f"'{where}' is wrong: {detail}.", param=where) from error


def text(fields: Fields, name: str) -> str | None:
    """A string; None when absent or null."""
    return decode(fields, name, _TEXT)


def flag(fields: Fields, name: str) -> bool | None:
    """A boolean; None when absent or null."""
    return decode(fields, name, _FLAG)


def number(fields: Fields, name: str, low: float, high: float) -> float | None:
    """A finite number from `low` to `high`; None when absent or null."""
    value = decode(fields, name, _NUMBER)
    if value is not None and not low <= value <= high:
        raise InvalidRequest(f"'{name}' must be a number from {low} to {high}.", param=name)
    return value


def whole(fields: Fields, name: str, low: int, high: int) -> int | None:
    """A whole number from `low` to `high`, 256.0 included; None when absent or null."""
    value = decode(fields, name, _NUMBER)
    if value is None:
        return None
    if not low <= value <= high or value != int(value):
        raise InvalidRequest(f"'{name}' must be a whole number from {low} to {high}.", param=name)
    return int(value)


def decode_answer(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """A provider's JSON. Halves of surrogate pairs and broken UTF-8, which JavaScript servers send when they cut an
    emoji in two, become U+FFFD. Raises UnexpectedResponse.
    """
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError):
        mended = _ESCAPES.sub(lambda match: match[1] or rb"\ufffd", body.decode(errors="replace").encode())
    try:
        return decoder.decode(mended)
    except (ValueError, RecursionError) as error:
        raise UnexpectedResponse(f"The provider's answer is not what its API promises: {error}.") from error


def _subject(name: str) -> str:
    return f"'{name}'" if name else "The body"


def _refuse_depth(body: bytes) -> None:
    """Exact, in passes at C speed: strings out, all but brackets out, then the innermost pairs out once per level."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets = b"".join(body.translate(None, _NEITHER_BRACKET_NOR_QUOTE).split(b'"')[::2])
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        # Both kinds at once: one after the other would take two levels of mixed nesting in one pass.
        brackets = brackets.replace(b"[]", b" ").replace(b"{}", b" ").replace(b" ", b"")
    if brackets:
        raise TooLarge(f"The body is nested more than {MAX_DEPTH} levels deep, or its brackets do not match.")


def _refuse_duplicates(body: bytes, fields: Fields, name: str) -> None:
    if body == b"{%b}" % b", ".join([b'"%b": %b' % (key.encode(), value) for key, value in fields.items()]):
        return
    # Walk from key to key: each must be new, and be followed by the value that the decoder kept (the last one).
    seen: set[str] = set()
    key, place, twice = "", 0, False
    while not twice and (match := _KEY.match(body, place)):
        key = _NAME.decode(match[1])
        twice = key in seen or not body.startswith(bytes(fields[key]), match.end())
        seen.add(key)
        place = match.end() + len(fields[key])
    if twice or (seen and body[place:].strip() != b"}"):
        where = f" in '{name}'" if name else ""
        raise InvalidRequest(f"The key '{key}' occurs twice{where}; each may occur once.", param=name or key)
