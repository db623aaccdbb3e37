"""What a setting may be: each kind turns text of the environment or a value of TOML into the value the program uses.

Every reader raises ValueError with the rest of a sentence that begins with the value. It never repeats a secret.
"""

import ipaddress
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from dominion.config.secret import Secret
from dominion.domain.usage import nano_from_usd
from dominion.providers.address import address

_SHORTEST_ADMIN_TOKEN = 16
_MOST_DIGITS = 15
_SAMPLES = frozenset(
    {
        "your-secure-admin-token-here",
        "your-secure-admin-token",
        "your-admin-token",
        "your_admin_token",
        "sk-...",
        "sk-ant-...",
        "sk-your-key",
        "sk-ant-your-key",
    }
)
_LIFTED = frozenset({"0", "none", "unlimited"})


class Kind(NamedTuple):
    """A kind by the name that the documentation prints; `empty` is the value of a setting that is not set."""

    name: str
    read: Callable[[Any], Any]
    empty: Any = ""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("is not plain text")
    return value.strip()


def _whole(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, Decimal) or not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
        raise ValueError(f"{value!r} is not a whole number")
    return int(text)


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""

    def read(value: Any) -> int:
        number = _whole(value)
        if not low <= number <= high:
            raise ValueError(f"{number} is not between {low} and {high}")
        return number

    return Kind("whole number", read)


def seconds(low: float, high: float) -> Kind:
    """Seconds from `low` to `high`, with or without decimals."""

    def read(value: Any) -> float:
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            raise ValueError(f"{value!r} is not a number of seconds") from None
        if isinstance(value, bool) or not number.is_finite() or not Decimal(str(low)) <= number <= Decimal(str(high)):
            raise ValueError(f"{value} is not between {low:g} and {high:g} seconds")
        return float(number)

    return Kind("seconds", read)


def choice(*names: str) -> Kind:
    """One of these words, in any case."""

    def read(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in names:
            raise ValueError(f"{value!r} is none of {', '.join(names)}")
        return word

    return Kind(" or ".join(names), read)


def only(allowed: str | int, because: str) -> Kind:
    """A setting that this version knows but cannot serve in full yet."""

    def read(value: Any) -> str | int:
        if str(value).strip() != str(allowed):
            raise ValueError(because)
        return allowed

    return Kind(f"only {allowed}" if allowed else "not yet", read)


def _flag(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false")
    return word == "true"


def _headers(value: Any) -> dict[str, str]:
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) else value
        return {name.lower(): text for name, text in msgspec.convert(found, dict[str, str]).items()}
    except msgspec.MsgspecError:
        raise ValueError("is not a table of texts") from None


def _limit(value: Any) -> int | None:
    return None if str(value).strip().lower() in _LIFTED else _whole(value)


def _usd_limit(value: Any) -> int | None:
    text = str(value).strip().lower().removeprefix("$")
    return None if text in _LIFTED else nano_from_usd(text) or None


def _path(value: Any) -> Path:
    return Path(_text(value)).expanduser()


def _secret(value: Any) -> Secret:
    if not isinstance(value, str) or not all("!" <= character <= "~" for character in value.strip()):
        raise ValueError("holds a space, a control character or a character outside ASCII")
    if value.strip().lower() in _SAMPLES:
        raise ValueError("still has the sample value; set your own, or remove it")
    return Secret(value.strip())


def _admin_token(value: Any) -> Secret:
    token = _secret(value)
    if len(token.reveal()) < _SHORTEST_ADMIN_TOKEN:
        raise ValueError(f"is shorter than {_SHORTEST_ADMIN_TOKEN} characters")
    return token


def _base_url(value: Any) -> str:
    url = _text(value)
    address(url, "/")
    return url


def _chat_path(value: Any) -> str:
    path = _text(value)
    address("http://localhost", path)
    return path


def _addresses(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else str(value).split(",")
    found = []
    for item in filter(None, (str(each).strip() for each in items)):
        try:
            found.append(str(ipaddress.ip_address(item)))
        except ValueError:
            raise ValueError(f"{item!r} is not an IP address") from None
    return tuple(found)


def _names(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else str(value).split(",")
    return tuple(filter(None, (_text(each) for each in items)))


TEXT = Kind("text", _text)
FLAG = Kind("true or false", _flag, empty=False)
HEADERS = Kind("table of headers; JSON in the environment", _headers, MappingProxyType({}))
PATH = Kind("path", _path, None)
LIMIT = Kind("whole number, 0 lifts it", _limit)
USD_LIMIT = Kind("US dollars, 0 lifts it", _usd_limit)
SECRET = Kind("secret", _secret, None)
ADMIN_TOKEN = Kind("secret", _admin_token, None)
BASE_URL = Kind("URL", _base_url)
CHAT_PATH = Kind("path of a URL", _chat_path)
ADDRESSES = Kind("IP addresses", _addresses, ())
NAMES = Kind("list of names", _names, ())
