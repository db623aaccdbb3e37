"""Addresses that came through an API lead to the Internet or nowhere: no target of this list gets a connection."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dominion.domain.errors import ConfigProblem, InvalidRequest, NetworkFailure
from dominion.domain.providers import Origin, Target
from dominion.providers.address import address
from dominion.upstream.egress import EgressGuard, is_public, system_look_up
from dominion.upstream.proxies import Proxies
from tests.upstream.conftest import MakeUpstream
from tests.upstream.hostile import HEAD, KEY, LIMIT, Peer, answering, echo, serve, whole

CANARIES = ("127.0.0.1", "127.0.0.2", "127.255.255.254", "::1")
PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
NAMES = {
    "localhost.": ["127.0.0.1"],  # as most systems have it
    "loopback.example": ["127.0.0.1"],
    "private.example": ["10.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "loopback6.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "translated.example": ["64:ff9b::7f00:1"],
    "mixed.example": [PUBLIC, "127.0.0.1"],
    "mixed6.example": ["127.0.0.1", PUBLIC_6],
    "scoped.example": [f"{PUBLIC_6}%lo"],
    "nonsense.example": ["nowhere"],
}
HOSTS = (
    # this machine, in every spelling that a C library or a URL parser understands
    *("127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f.1"),
    *("0x7f000001", "0X7F000001", "2130706433", "017700000001", "127.0.0.1.", "2130706433.", "0.0.0.0", "0", "0x0"),  # noqa: S104
    *("localhost", "LOCALHOST", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::1%lo]"),
    # IPv4 inside of IPv6
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[::ffff:10.0.0.1]"),
    # private networks, carriers' NAT
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "167772161", "0xa000001"),
    *("012.0.0.1", "100.64.0.1", "100.127.255.255", "[fc00::1]", "[fd00::1]", "[fec0::1]"),
    # link-local and the clouds' metadata
    *("169.254.169.254", "169.254.170.2", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%lo]"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192"),
    # reserved, documentation, benchmarks, multicast, broadcast
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "[ff02::1]", "[100::1]", "[2001:db8::1]", "[3fff::1]", "[5f00::1]"),
    # names that lead there
    *NAMES,
)
SPELLINGS = (
    "http://user@127.0.0.1:{port}/",
    "http://api.example@127.0.0.1:{port}/",
    "http://user:word@api.example:{port}/",
    "http://api.example#@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@api.example/",
    "http://127.0.0.1:{port}/?@api.example",
    "http://api.example\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@api.example/",
    "http://127.0.0.1%00.api.example:{port}/",
    "http://127.0.0.1%2f:{port}/",
    "http://127.0.0.1 .api.example:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\r\nhost: api.example:{port}/",
    "http://\uff11\uff12\uff17.0.0.1:{port}/",
    "http://127。0。0。1:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://[::1:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://127.0.0.1:{port}:80/",
    "http://:{port}/",
    "http:127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_x",
    "unix:/var/run/docker.sock",
    "javascript:alert(1)",
)


class Canary:
    """Listens where nobody may come; `visits` counts those who did."""

    def __init__(self) -> None:
        self.visits = 0
        self.port = 0
        self.came = asyncio.Event()

    async def visited(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        self.came.set()
        writer.close()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    canary, listeners = Canary(), list[asyncio.Server]()
    for host in CANARIES:
        listeners.append(await asyncio.start_server(canary.visited, host, canary.port))
        canary.port = listeners[0].sockets[0].getsockname()[1]
    yield canary
    for listener in listeners:
        listener.close()
        await listener.wait_closed()


class Resolver:
    """Answers from `names`, one answer after the other where there are several; else asks the system."""

    def __init__(self, names: Mapping[str, Sequence[str]] = NAMES, *answers: Sequence[str]) -> None:
        self._names = names
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if self._answers:
            return self._answers.pop(0)
        return self._names.get(host) or await system_look_up(host, port)


def guarded(host: str, port: int, scheme: str = "http") -> Target:
    return Target(Origin(scheme, host, port, guarded=True), HEAD)


def test_the_list_is_as_long_as_it_should_be() -> None:
    assert len(set(HOSTS)) + len(set(SPELLINGS)) >= 100


@pytest.mark.parametrize("host", HOSTS)
async def test_no_connection_is_made_to(host: str, upstream: MakeUpstream, canary: Canary) -> None:
    guard = EgressGuard(look_up=Resolver())
    client = upstream(resolve=guard.resolve)
    origin, _ = address(f"http://{host}:{canary.port}/v1", "/v1/chat/completions")
    for way in ("registered as it is", "stored before the guard was asked"):
        if way == "registered as it is" and origin.host not in NAMES and "localhost" not in origin.host:
            with pytest.raises(InvalidRequest, match="base_url") as refused:
                guard.admit(origin)
            assert (refused.value.param, "egress_allow" in refused.value.action) == ("base_url", True)
        target = Target(replace(origin, guarded=True), HEAD)
        for ask in (lambda: client.send(target, b"{}"), lambda: client.reach(target.origin)):  # noqa: B023 - asked at once
            with pytest.raises(NetworkFailure, match="its address is not allowed") as caught:
                await ask()
            assert not caught.value.sent
            assert "127.0.0.1" not in caught.value.message
    assert (canary.visits, client.counters.opened) == (0, 0)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_is_no_plain_address_is_refused_before_it_is_one(spelling: str) -> None:
    with pytest.raises(ValueError, match=r"base URL|IPv6|IPv4|does not appear"):
        address(spelling.format(port=8080), "/v1/chat/completions")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "[::1]"])
async def test_the_canaries_would_have_heard(host: str, upstream: MakeUpstream, canary: Canary) -> None:
    client = upstream(resolve=EgressGuard().resolve)
    origin, _ = address(f"http://{host}:{canary.port}/v1", "/v1/chat/completions")
    with pytest.raises(NetworkFailure):
        await client.send(Target(origin, HEAD), b"{}")
    await canary.came.wait()


async def test_a_name_is_asked_for_once_and_what_it_said_is_dialled(upstream: MakeUpstream, canary: Canary) -> None:
    async with serve(answering(whole(b"ok", b"connection: close"))) as server:
        resolver = Resolver({}, ["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"])
        client = upstream(resolve=EgressGuard(["127.0.0.1/32"], resolver).resolve)
        target = guarded("rebinding.example", server.port)
        listener = await asyncio.start_server(canary.visited, "127.0.0.2", server.port)
        for answer in (b"ok", b"", b"ok"):
            before = len(resolver.asked)
            if answer:
                assert await (await client.send(target, b"{}")).read(LIMIT) == answer
            else:
                with pytest.raises(NetworkFailure, match="not allowed"):
                    await client.send(target, b"{}")
            assert len(resolver.asked) == before + 1
        assert len(server.peers) == 2
        listener.close()
        await listener.wait_closed()
    assert canary.visits == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_nobody_follows_it(
    status: int, upstream: MakeUpstream, canary: Canary
) -> None:
    to_canary = b"location: http://127.0.0.1:%d/v1\r\n" % canary.port
    answer = b"HTTP/1.1 %d Moved\r\n%bcontent-length: 0\r\n\r\n" % (status, to_canary)
    async with serve(answering(answer)) as server:
        client = upstream(resolve=EgressGuard(["127.0.0.0/8"], Resolver({}, ["127.0.0.1"])).resolve)
        assert (await client.send(guarded("provider.example", server.port), b"{}")).status == status
    assert canary.visits == 0


async def test_the_certificate_must_be_the_names_and_not_the_addresses(upstream: MakeUpstream) -> None:
    authority, names = trustme.CA(), list[str | None]()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("provider.test").configure_cert(context)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def trusting() -> ssl.SSLContext:
        made = ssl.create_default_context()
        authority.configure_trust(made)
        return made

    async with serve(echo, context) as server:
        resolver = Resolver({"provider.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]})
        client = upstream(tls=trusting, resolve=EgressGuard(["127.0.0.0/8"], resolver).resolve)
        exchange = await client.send(guarded("provider.test", server.port, "https"), b"hello")
        assert await exchange.read(LIMIT) == b"hello"
        with pytest.raises(NetworkFailure, match="certificate"):
            await client.send(guarded("other.test", server.port, "https"), b"hello")
    assert names == ["provider.test", "other.test"]


async def test_origins_of_the_operators_files_are_not_asked_about(upstream: MakeUpstream) -> None:
    resolver = Resolver()
    async with serve(echo) as server:
        client = upstream(resolve=EgressGuard(look_up=resolver).resolve)
        assert await (await client.send(server.target(), b"a")).read(LIMIT) == b"a"
        assert client._lanes[server.target().origin].idle != []
        # The same address through an API does not get at the connection that is kept.
        with pytest.raises(NetworkFailure, match="not allowed"):
            await client.send(guarded("127.0.0.1", server.port), b"b")
        assert len(server.peers) == 1
    assert resolver.asked == []


@asynccontextmanager
async def proxied(heads: list[bytes]) -> AsyncIterator[int]:
    """The port of a proxy that hears what is wanted, and refuses."""

    async def script(peer: Peer) -> None:
        heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
        await peer.say(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    async with serve(script) as server:
        yield server.port


async def test_a_proxy_is_asked_for_the_checked_address_and_never_for_another(upstream: MakeUpstream) -> None:
    heads: list[bytes] = []
    async with proxied(heads) as port:
        proxies = Proxies(http=f"http://127.0.0.1:{port}", https=f"http://127.0.0.1:{port}")
        resolver = Resolver({**NAMES, "provider.example": [PUBLIC], "six.example": [PUBLIC_6]})
        guard = EgressGuard(["kept.example:443"], resolver)
        client = upstream(resolve=guard.resolve, proxies=proxies)
        for host in ("provider.example", "six.example", "kept.example"):
            with pytest.raises(NetworkFailure, match="refused the tunnel with status 403"):
                await client.send(guarded(host, 443, "https"), b"{}")
        for host in ("private.example", "mixed.example", "10.0.0.1", "127.1"):
            for scheme in ("http", "https"):
                with pytest.raises(NetworkFailure, match="its address is not allowed"):
                    await client.send(guarded(host, 443, scheme), b"{}")
        with pytest.raises(NetworkFailure, match="a proxy would look its name up again"):
            await client.send(guarded("provider.example", 80), b"{}")
        assert [head.split(b"\r\n", 1)[0] for head in heads] == [
            b"CONNECT %b:443 HTTP/1.1" % PUBLIC.encode(),
            b"CONNECT [%b]:443 HTTP/1.1" % PUBLIC_6.encode(),
            b"CONNECT kept.example:443 HTTP/1.1",
        ]
        assert KEY not in b"".join(heads)
        assert (await client.send(guarded(PUBLIC, 80), b"{}")).status == 403
        assert heads[-1].startswith(b"POST http://%b:80/v1/chat/completions HTTP/1.1\r\n" % PUBLIC.encode())


async def test_the_operator_opens_exact_places_and_networks() -> None:
    resolver = Resolver({"inside.example": ["10.1.2.3"], "both.example": ["10.1.2.3", "10.2.0.1"]})
    guard = EgressGuard(["ollama.internal:11434", "[::1]:8080", "10.1.0.0/16", "fd00::/8"], resolver)

    async def leads_to(host: str, port: int = 443) -> Sequence[tuple[str, int]] | None:
        try:
            return await guard.resolve(guard.admit(Origin("http", host, port)))
        except (InvalidRequest, NetworkFailure):
            return None

    assert await leads_to("ollama.internal", 11434) == [("ollama.internal", 11434)]
    assert await leads_to("::1", 8080) == [("::1", 8080)]
    assert await leads_to("::1", 8081) is None
    assert await leads_to("10.1.2.3") == await leads_to("inside.example") == [("10.1.2.3", 443)]
    assert await leads_to("both.example") is await leads_to("10.2.0.1") is None
    assert await leads_to("fd00::7") == [("fd00::7", 443)]
    assert await leads_to("0xa010203") is None
    assert await leads_to(PUBLIC) == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    "entry", ["10.0.0.1", "host", "host:", ":80", "host:0", "host:65536", "host:http", "10.0.0.1/8", "host/8", "*:80/"]
)
def test_an_exception_that_is_no_place_and_no_network_stops_the_start(entry: str) -> None:
    with pytest.raises(ConfigProblem, match="neither host:port nor a network"):
        EgressGuard(["127.0.0.1:80", entry])


async def test_public_addresses_pass_in_the_order_in_which_they_were_told() -> None:
    guard = EgressGuard(look_up=Resolver({"provider.example": [PUBLIC_6, PUBLIC]}))
    origin = guard.admit(Origin("https", "provider.example", 443))
    assert origin == Origin("https", "provider.example", 443, guarded=True)
    assert await guard.resolve(origin) == [(PUBLIC_6, 443), (PUBLIC, 443)]
    with pytest.raises(InvalidRequest, match="begin with http"):
        guard.admit(Origin("ftp", "provider.example", 443))


@pytest.mark.parametrize(
    "public", ["1.1.1.1", "8.8.8.8", "11.0.0.1", "100.128.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1", "2a00::1"]
)
def test_neighbours_of_the_forbidden_ranges_are_public(public: str) -> None:
    assert is_public(ipaddress.ip_address(public))


@given(st.ip_addresses())
def test_nothing_is_public_that_the_standard_library_calls_private(
    found: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert found.is_global or not is_public(found)
