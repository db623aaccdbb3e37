"""Which requests go through a forward proxy, and how they are then written; pure, and never reads the environment."""

import base64
import ipaddress
from urllib.parse import unquote, urlsplit

from dominion.domain.errors import ConfigProblem
from dominion.domain.providers import Origin


class Proxy:
    """A forward proxy spoken to in plain HTTP. Not a Struct: its repr must not show `authorization`."""

    __slots__ = ("authorization", "host", "port")

    def __init__(self, address: str) -> None:
        """`address` as in HTTP_PROXY: http://[user:password@]host[:port]. Raises ConfigProblem."""
        try:
            parts = urlsplit(address if "://" in address else f"http://{address}")
            port = parts.port
        except ValueError:
            port = 0
        if port == 0 or parts.scheme != "http" or not parts.hostname:
            # Not quoted: it may hold a password.
            raise ConfigProblem("The proxy address is not of the form http://[user:password@]host[:port].")
        self.host = parts.hostname
        self.port = port or 80
        self.authorization = b""
        if parts.username is not None:
            account = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self.authorization = b"proxy-authorization: Basic " + base64.b64encode(account) + b"\r\n"


class Proxies:
    """The operator's proxies. The values are those of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, empty when not set."""

    __slots__ = ("_by_scheme", "_bypass")

    def __init__(self, http: str = "", https: str = "", no_proxy: str = "") -> None:
        """Raises ConfigProblem for an address that is not an http:// one."""
        self._by_scheme = {scheme: Proxy(address) for scheme, address in (("http", http), ("https", https)) if address}
        self._bypass = [entry.strip().lower() for entry in no_proxy.split(",") if entry.strip()]

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """The proxy on the way to `origin`, if any."""
        proxy = self._by_scheme.get(origin.scheme)
        if proxy is None or any(_covers(entry, origin) for entry in self._bypass):
            return None
        return proxy


def _covers(entry: str, origin: Origin) -> bool:
    """Whether one NO_PROXY entry names the origin: `*`, a domain and those below it, an address or network, a port."""
    host = origin.host.lower()
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        name, _, port = entry.partition(":")
        name = name.removeprefix("*").removeprefix(".")
        return (not port or port == str(origin.port)) and (host == name or host.endswith(f".{name}"))


def authority(origin: Origin) -> bytes:
    """host:port, with the brackets of an IPv6 address."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{host}:{origin.port}".encode("ascii")


def through(proxy: Proxy, origin: Origin, head: bytes) -> bytes:
    """A request head for a plain-http origin as a proxy wants it (RFC 9112, 3.2.2): the address in absolute form."""
    method, _, rest = head.partition(b" ")
    line, _, headers = rest.partition(b"\r\n")
    return b"".join((method, b" http://", authority(origin), line, b"\r\n", proxy.authorization, headers))
