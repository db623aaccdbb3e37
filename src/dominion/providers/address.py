"""A provider's base URL and chat path joined to the address of its completions. Never resolves a name."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from dominion.domain.providers import Origin

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?\.?")
_ENDS_IN_VERSION = re.compile(r"/v\d+[a-z0-9]*$")
_BEGINS_WITH_VERSION = re.compile(r"/v\d+[a-z0-9]*(?=/)")


def address(base_url: str, chat_path: str) -> tuple[Origin, str]:
    """The origin and the path of completions.

    People write base URLs with and without "/v1" and sometimes paste the whole address; all of these mean the same:
    a version that ends the base stands for the one that begins the path, and a path already there is not added again.

    Raises ValueError, a sentence without the URL's secrets, for anything but http(s)://host[:port][/path].
    """
    parts, port = _split(base_url)
    host = _host(parts)
    if not chat_path.startswith("/") or not _visible(chat_path) or "#" in chat_path:
        raise ValueError("the chat path must begin with / and hold only visible ASCII characters and no #")
    base = parts.path.rstrip("/")
    if base.endswith(chat_path):
        return Origin(parts.scheme, host, port), base
    if _ENDS_IN_VERSION.search(base):
        chat_path = _BEGINS_WITH_VERSION.sub("", chat_path, count=1)
    return Origin(parts.scheme, host, port), base + chat_path


def is_loopback(host: str) -> bool:
    """Whether traffic to `host` stays on this machine, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _split(base_url: str) -> tuple[SplitResult, int]:
    if not _visible(base_url):
        raise ValueError("the base URL is empty or holds a space, a control character or a character outside ASCII")
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise ValueError("the base URL has a wrong host or port") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("the base URL must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("the base URL must not hold a user name or password; use api_key")
    if "?" in base_url or "#" in base_url:
        raise ValueError("the base URL must not have a query or a fragment")
    if port == 0:
        raise ValueError("the base URL has a wrong host or port")
    return parts, port or _DEFAULT_PORTS[parts.scheme]


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        return str(ipaddress.IPv6Address(host))
    if not _HOST.fullmatch(host):
        raise ValueError("the base URL has a wrong host or port")
    return host


def _visible(text: str) -> bool:
    return bool(text) and all("!" <= character <= "~" for character in text)
