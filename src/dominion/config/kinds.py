"""What a setting may be: each kind turns text of the environment or a value of TOML into the value the program uses.

Every reader raises ValueError with the rest of a sentence that begins with the value. It never repeats a secret.
"""

import ipaddress
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from dominion.config.secret import Secret
from dominion.domain.usage import nano_from_usd
from dominion.providers.address import address

_SHORTEST_SECRET = 16
_MOST_DIGITS = 15
_HEAVIEST = 1_000_000
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
LARGEST_PERCENT = 1_000
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


def _number(value: Any, low: float, high: float, unit: str = "") -> float:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number{unit and f' of{unit}'}") from None
    if isinstance(value, bool) or not number.is_finite() or not Decimal(str(low)) <= number <= Decimal(str(high)):
        raise ValueError(f"{value} is not between {low:g} and {high:g}{unit}")
    return float(number)


def seconds(low: float, high: float) -> Kind:
    """Seconds from `low` to `high`, with or without decimals."""
    return Kind("seconds", lambda value: _number(value, low, high, " seconds"))


def share(low: float) -> Kind:
    """A part of 1, at least `low`."""
    return Kind("part of 1", lambda value: _number(value, low, 1))


def choice(*names: str, older: Mapping[str, str] = MappingProxyType({})) -> Kind:
    """One of these words, in any case; `older` words are still understood."""

    def read(value: Any) -> str:
        word = str(value).strip().lower()
        word = older.get(word, word)
        if word not in names:
            raise ValueError(f"{value!r} is none of {', '.join(names)}")
        return word

    return Kind(" or ".join(names), read)


def _flag(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false")
    return word == "true"


def _table(value: Any, of: str = "") -> dict[str, Any]:
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) else value
        return msgspec.convert(found, dict[str, str] if of else dict[str, Any])
    except msgspec.MsgspecError:
        raise ValueError(f"is not a table{of}") from None


def _headers(value: Any) -> dict[str, str]:
    return {name.lower(): text for name, text in _table(value, " of texts").items()}


def _models(value: Any) -> dict[str, str]:
    return {name: _text(model) for name, model in _table(value, " of texts").items()}


def _aliases(value: Any) -> dict[str, tuple[str, ...]]:
    aliases = {name: _names(models) for name, models in _table(value).items()}
    for name, models in aliases.items():
        if not models:
            raise ValueError(f"has no model for {name!r}")
    return aliases


def _weights(value: Any) -> dict[str, float]:
    return {name: _number(weight, 0, _HEAVIEST) for name, weight in _table(value).items()}


def _limit(value: Any) -> int | None:
    return None if str(value).strip().lower() in _LIFTED else _whole(value)


def _usd_limit(value: Any) -> int | None:
    text = str(value).strip().lower().removeprefix("$")
    return None if text in _LIFTED else nano_from_usd(text) or None


def _percents(value: Any) -> tuple[int, ...]:
    if str(value).strip().lower() in _LIFTED:
        return ()
    found = [_whole(item) for item in (value if isinstance(value, list) else str(value).split(","))]
    if not all(1 <= percent <= LARGEST_PERCENT for percent in found):
        raise ValueError(f"is no list of percentages from 1 to {LARGEST_PERCENT}")
    return tuple(sorted(set(found)))


def _path(value: Any) -> Path:
    return Path(_text(value)).expanduser()


def _secret(value: Any) -> Secret:
    if not isinstance(value, str) or not all("!" <= character <= "~" for character in value.strip()):
        raise ValueError("holds a space, a control character or a character outside ASCII")
    if value.strip().lower() in _SAMPLES:
        raise ValueError("still has the sample value; set your own, or remove it")
    return Secret(value.strip())


def _long_secret(value: Any) -> Secret:
    token = _secret(value)
    if len(token.reveal()) < _SHORTEST_SECRET:
        raise ValueError(f"is shorter than {_SHORTEST_SECRET} characters")
    return token


def server_url(*schemes: str) -> Kind:
    """The address of a server, with its password: "scheme://...", one of `schemes`."""

    def read(value: Any) -> Secret:
        url = _secret(value)
        if url.reveal().partition("://")[0].lower() not in schemes:
            raise ValueError(f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return url

    return Kind("secret", read, None)


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
MODELS = Kind("table of models; JSON in the environment", _models, MappingProxyType({}))
ALIASES = Kind("table of lists of models; JSON in the environment", _aliases, MappingProxyType({}))
WEIGHTS = Kind("table of numbers; JSON in the environment", _weights, MappingProxyType({}))
PATH = Kind("path", _path, None)
LIMIT = Kind("whole number, 0 lifts it", _limit)
USD_LIMIT = Kind("US dollars, 0 lifts it", _usd_limit)
SECRET = Kind("secret", _secret, None)
LONG_SECRET = Kind("secret", _long_secret, None)
ADMIN_TOKEN = LONG_SECRET
BASE_URL = Kind("URL", _base_url)
CHAT_PATH = Kind("path of a URL", _chat_path)
ADDRESSES = Kind("IP addresses", _addresses, ())
NAMES = Kind("list of names", _names, ())
PERCENTS = Kind("list of percentages, 0 for none", _percents, ())
