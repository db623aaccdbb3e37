"""Provider keys that callers pass with a request, taken out of it before anything else looks. Never logs one."""

from collections.abc import Sequence

import msgspec

from dominion.domain.contracts import Fields
from dominion.domain.errors import InvalidRequest
from dominion.domain.own_keys import PassedKeys
from dominion.wire.fields import text

PROVIDER_KEY = b"x-dominion-provider-key"
API_KEY = "apiKey"
"""The field of the native door."""


def passed_keys(headers: Sequence[tuple[bytes, bytes]], fields: Fields, *, native: bool) -> PassedKeys:
    """The keys of the header ("KEY", or "PROVIDER KEY, PROVIDER KEY") and of the native field, which is taken out.

    Raises InvalidRequest, which holds no key, for what is neither and for two keys that differ.
    """
    named: dict[str, str] = {}
    given = [value.decode("latin-1") for name, value in headers if name == PROVIDER_KEY]
    pairs = [each.split() for value in given for each in value.split(",")]
    if native and API_KEY in fields:
        pairs.append([_field(fields)])
        del fields[API_KEY]
    for pair in pairs:
        if len(pair) not in (1, 2):
            raise InvalidRequest(
                "x-dominion-provider-key is a key, or PROVIDER KEY, or several of these with commas between them.",
                param=PROVIDER_KEY.decode(),
            )
        provider = pair[0] if len(pair) > 1 else ""
        if named.setdefault(provider, pair[-1]) != pair[-1]:
            raise InvalidRequest("The request carries two different provider keys.", action="Send one key.")
    if "" in named and len(named) > 1:
        raise InvalidRequest("One of the provider keys does not say whose it is.", action="Name its provider.")
    return PassedKeys(named.pop("", ""), named)


def _field(fields: Fields) -> str:
    try:
        key = (text(fields, API_KEY) or "").strip()
    except (InvalidRequest, msgspec.DecodeError):
        key = ""
    if not key or len(key.split()) > 1:
        raise InvalidRequest("apiKey is your key at the provider, a text without spaces.", param=API_KEY)
    return key
