"""How a provider's key is shown to it: header lines, rendered once. Must never log or print what it renders."""

from collections.abc import Callable, Mapping

from dominion.domain.providers import Origin

PER_REQUEST = "per_request"
"""The scheme of providers to whom an `Authority` proves the account anew with each request."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_KEYLESS = ("none", PER_REQUEST)

_SCHEMES: Mapping[str, Callable[[str], str]] = {
    "none": lambda _: "",
    "bearer": lambda key: f"authorization: Bearer {key}\r\n",
    "header_key": lambda key: f"x-api-key: {key}\r\n",
    "api_key": lambda key: f"api-key: {key}\r\n",
    "google_key": lambda key: f"x-goog-api-key: {key}\r\n",
    PER_REQUEST: lambda _: "",
    # Tokens of the Claude OAuth flow need this beta header on every request (providers.md 0.3).
    "anthropic_oauth": lambda key: f"authorization: Bearer {key}\r\nanthropic-beta: oauth-2025-04-20\r\n",
}

_SHOWN_IN = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
_SHORTEST = 4
"""Characters; what is shorter hides nothing, and would be found in many words."""
_HIDDEN = b"[masked]"


def headers(scheme: str, key: str) -> bytes:
    """Header lines, each ended by CRLF, that show `key` in one of the schemes named above.

    Raises ValueError, which never holds the key, for an unknown scheme, and for a key that is empty where one is
    needed or holds anything but visible ASCII: a line break would let a key write headers of its own.
    """
    if scheme not in _SCHEMES:
        raise ValueError(f"unknown credential scheme {scheme!r}; known are {', '.join(_SCHEMES)}")
    if scheme not in _KEYLESS and not key:
        raise ValueError("the key is empty")
    _check_visible("the key", key)
    return _SCHEMES[scheme](key).encode("ascii")


def hidden(text: bytes, shown: bytes) -> bytes:
    """A provider's words without the keys in these header lines, whole or cut off at the end: some repeat them."""
    for name, value in (line.split(b": ", 1) for line in shown.split(b"\r\n") if b": " in line):
        key = value.removeprefix(b"Bearer ")
        if name not in _SHOWN_IN or len(key) < _SHORTEST:
            continue
        text = text.replace(key, _HIDDEN)
        cut = next((size for size in range(len(key) - 1, _SHORTEST - 1, -1) if text.endswith(key[:size])), 0)
        text = text[: len(text) - cut] + _HIDDEN if cut else text
    return text


def fixed(name: str, value: str) -> bytes:
    """One more header line, ended by CRLF; b"" for an empty value. Raises ValueError as `headers`."""
    _check_visible(f"the value of {name}", value)
    return f"{name}: {value}\r\n".encode("ascii") if value else b""


def host(origin: Origin) -> str:
    """The value of the header host."""
    name = f"[{origin.host}]" if ":" in origin.host else origin.host
    return name if origin.port == _DEFAULT_PORTS.get(origin.scheme) else f"{name}:{origin.port}"


def head(origin: Origin, path: str, credential: bytes, agent: str) -> bytes:
    """The request line and the fixed headers of a completion request, for `Target.head`.

    Headers that a caller may bring itself, such as anthropic-version, are not among them. `accept-encoding: identity`
    because compressed streams arrive late and cannot be tapped.
    """
    lines = (
        f"POST {path} HTTP/1.1\r\n"
        f"host: {host(origin)}\r\n"
        "content-type: application/json\r\n"
        "accept-encoding: identity\r\n"
        f"user-agent: {agent}\r\n"
    )
    return lines.encode("ascii") + credential


def _check_visible(what: str, text: str) -> None:
    if not all("!" <= character <= "~" for character in text):
        raise ValueError(f"{what} holds a space, a control character or a character outside ASCII")
