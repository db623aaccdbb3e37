"""The guard of addresses that come through an API: decides where they may lead; never opens a connection itself.

A name is looked up once, every address it has must be public, and those addresses are what is dialled: there is no
second look-up that could answer otherwise. Origins of the operator's own files are not asked about.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from dominion.domain.errors import ConfigProblem, InvalidRequest
from dominion.domain.providers import Origin
from dominion.upstream.dial import Address, unreachable

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
LookUp = Callable[[str, int], Awaitable[Sequence[str]]]
"""A host and a port to its IP addresses. Raises OSError."""

NOT_PUBLIC_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's platform, from inside a machine there
            "169.254.0.0/16",  # link-local; metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved; broadcast
        ),
    )
)
PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
"""All global unicast addresses. Outside of it: loopback, local, link-local, multicast, mapped and translated IPv4."""
NOT_PUBLIC_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments; Teredo carries IPv4 addresses
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4 carries IPv4 addresses
            "3fff::/20",  # documentation
        ),
    )
)
"""Source of both lists: IANA's special-purpose address registries."""

_NUMERIC = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)\.?")
"""Hosts that C libraries take for an IPv4 address, as the URL standard has it: the last label is a number."""


class Allowed(NamedTuple):
    """The operator's exceptions: hosts with ports as they are written, and networks."""

    places: frozenset[tuple[str, int]]
    networks: tuple[IpNetwork, ...]

    @classmethod
    def parse(cls, entries: Sequence[str]) -> "Allowed":
        """Each entry is host:port or a network (10.1.0.0/16). Raises ConfigProblem."""
        places, networks = set(), []
        for entry in entries:
            host, _, port = entry.rpartition(":")
            try:
                if "/" in entry:
                    networks.append(ipaddress.ip_network(entry))
                elif host and port.isdecimal() and 0 < int(port) < 1 << 16:
                    places.add((host.strip("[]").lower(), int(port)))
                else:
                    raise ValueError
            except ValueError:
                raise ConfigProblem(
                    f"The entry {entry!r} of egress_allow is neither host:port nor a network such as 10.1.0.0/16."
                ) from None
        return cls(frozenset(places), tuple(networks))


class EgressGuard:
    """Tells which origins of an API may be registered, and finds the addresses that may be dialled."""

    def __init__(self, allow: Sequence[str] = (), look_up: LookUp | None = None) -> None:
        """`allow` as `Allowed.parse` takes it. Raises ConfigProblem."""
        self._allowed = Allowed.parse(allow)
        self._look_up = look_up or system_look_up

    def admit(self, origin: Origin) -> Origin:
        """The origin, guarded from here on. Raises InvalidRequest for what the host itself shows; asks no resolver."""
        if not self._is_open(origin):
            if origin.scheme not in ("http", "https"):
                raise _refused("begin with http:// or https://")
            if (literal := _literal(origin.host)) is not None:
                if not self._may_lead_to(literal):
                    raise _refused("not lead to this machine, a private network or a reserved address")
            elif _NUMERIC.fullmatch(origin.host):
                raise _refused("write its IP address as four decimal numbers")
        return replace(origin, guarded=True)

    async def resolve(self, origin: Origin) -> Sequence[Address]:
        """See `dominion.upstream.dial.Resolve`. Raises NetworkFailure with `sent` False, which names no address."""
        if not origin.guarded or self._is_open(origin):
            return [(origin.host, origin.port)]
        literal = _literal(origin.host)
        if literal is None and _NUMERIC.fullmatch(origin.host):
            raise unreachable("its address is not allowed")
        found = [str(literal)] if literal is not None else await self._look_up(origin.host, origin.port)
        addresses = [_literal(address) for address in found]
        if not all(address is not None and self._may_lead_to(address) for address in addresses):
            raise unreachable("its address is not allowed")
        return [(str(address), origin.port) for address in addresses]

    def _is_open(self, origin: Origin) -> bool:
        return (origin.host, origin.port) in self._allowed.places

    def _may_lead_to(self, address: IpAddress) -> bool:
        return is_public(address) or any(address in network for network in self._allowed.networks)


def is_public(address: IpAddress) -> bool:
    """Whether an address is one of the Internet's, and not one that carries another inside."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_4)
    return address in PUBLIC_6 and address.scope_id is None and not any(address in network for network in NOT_PUBLIC_6)


async def system_look_up(host: str, port: int) -> list[str]:
    """Ask the system, in a thread."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _literal(host: str) -> IpAddress | None:
    """The address that a host is in its ordinary spelling, None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _refused(rule: str) -> InvalidRequest:
    return InvalidRequest(
        f"base_url must {rule}.",
        action="Use a public address, or ask the operator to list this one under egress_allow.",
        param="base_url",
    )
