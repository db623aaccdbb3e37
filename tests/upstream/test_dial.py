"""Connecting: refusals, certificates, checked addresses, proxy tunnels; never a key to a peer that is not trusted."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import pytest
import trustme

from dominion.domain.errors import Forbidden, NetworkFailure, ProviderTimeout
from dominion.domain.providers import Origin, Target
from dominion.upstream.bounds import Timeouts
from dominion.upstream.dial import Resolve
from dominion.upstream.proxies import Proxies
from tests.upstream.conftest import LONG, MakeUpstream
from tests.upstream.hostile import HEAD, KEY, LIMIT, Peer, echo, serve, silent, whole

HOST = "provider.test"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


def server_tls(authority: trustme.CA, host: str = HOST) -> ssl.SSLContext:
    """A server's context with a certificate for `host`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """The default client context, with the authority trusted as if the system did."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def local(port: int) -> Resolve:
    """Every name is this machine."""

    async def resolve(_origin: Origin) -> Sequence[tuple[str, int]]:
        return [("127.0.0.1", port)]

    return resolve


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_refused_connection_means_nothing_was_sent(upstream: MakeUpstream) -> None:
    target = Target(origin=Origin("http", "127.0.0.1", free_port()), head=HEAD)
    client = upstream()
    for _ in range(2):
        with pytest.raises(NetworkFailure, match="refused") as caught:
            await client.send(target, b"{}")
        assert not caught.value.sent
    assert client.counters.opened == 0
    assert client._lanes[target.origin].members == set()


async def test_a_name_without_address_means_nothing_was_sent(upstream: MakeUpstream) -> None:
    target = Target(origin=Origin("http", "x" * 70 + ".invalid", 80), head=HEAD)
    with pytest.raises(NetworkFailure, match="no address") as caught:
        await upstream().send(target, b"{}")
    assert not caught.value.sent


async def test_a_trusted_certificate_for_the_name_is_accepted_and_the_name_is_told(
    upstream: MakeUpstream, authority: trustme.CA
) -> None:
    names: list[str | None] = []
    context = server_tls(authority)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    contexts: list[ssl.SSLContext] = []

    def make() -> ssl.SSLContext:
        contexts.append(trusting(authority))
        return contexts[-1]

    async with serve(echo, context) as server:
        client = upstream(tls=make, resolve=local(server.port))
        exchanges = await asyncio.gather(*(client.send(server.target(HOST), b"%d" % n) for n in range(3)))
        assert [await exchange.read(LIMIT) for exchange in exchanges] == [b"0", b"1", b"2"]
        again = await client.send(server.target(HOST), b"x" * 300_000)
        assert await again.read(LIMIT) == b"x" * 300_000
    assert names == [HOST] * 3
    assert len(contexts) == 1


@pytest.mark.parametrize("fault", ["wrong host", "unknown authority", "no TLS at all", "old TLS"])
async def test_a_peer_that_cannot_prove_its_name_receives_nothing(
    upstream: MakeUpstream, authority: trustme.CA, fault: str
) -> None:
    context: ssl.SSLContext | None = server_tls(authority, "other.test" if fault == "wrong host" else HOST)
    if fault == "no TLS at all":
        context = None
    elif fault == "old TLS" and context is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.deprecated_call():
            context.options |= ssl.OP_NO_TLSv1_2

    async def script(peer: Peer) -> None:
        assert KEY not in await peer.reader.read(100_000)
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serve(script, context) as server:
        make = ssl.create_default_context if fault == "unknown authority" else partial(trusting, authority)
        client = upstream(tls=make, resolve=local(server.port))
        target = Target(origin=Origin("https", HOST, server.port), head=HEAD)
        with pytest.raises(NetworkFailure) as caught:
            await client.send(target, b"{}")
        assert not caught.value.sent
        assert client._lanes[target.origin].members == set()


async def test_a_peer_that_cannot_prove_its_name_ends_the_search_for_an_address(
    upstream: MakeUpstream, authority: trustme.CA
) -> None:
    async with serve(silent, server_tls(authority, "other.test")) as wrong, serve(echo, server_tls(authority)) as right:

        async def resolve(_origin: Origin) -> Sequence[tuple[str, int]]:
            return [("127.0.0.1", wrong.port), ("127.0.0.1", right.port)]

        client = upstream(tls=partial(trusting, authority), resolve=resolve)
        with pytest.raises(NetworkFailure, match="certificate"):
            await client.send(right.target(HOST), b"{}")
        assert right.peers == []


async def test_a_handshake_that_hangs_is_a_timeout(upstream: MakeUpstream) -> None:
    client = upstream(Timeouts(connect=0.05, first_byte=LONG, idle=LONG, total=LONG))
    async with serve(silent) as server:
        target = Target(origin=Origin("https", "127.0.0.1", server.port), head=HEAD)
        with pytest.raises(ProviderTimeout) as caught:
            await client.send(target, b"{}")
        assert not caught.value.sent


async def test_the_checked_address_is_the_one_dialled(upstream: MakeUpstream) -> None:
    asked: list[Origin] = []

    async with serve(echo) as server:

        async def resolve(origin: Origin) -> Sequence[tuple[str, int]]:
            asked.append(origin)
            return [("127.0.0.1", free_port()), ("127.0.0.1", server.port)]

        target = Target(origin=Origin("http", "does-not-exist.invalid", 1), head=HEAD)
        client = upstream(resolve=resolve)
        assert await (await client.send(target, b"a")).read(LIMIT) == b"a"
        assert await (await client.send(target, b"b")).read(LIMIT) == b"b"
    assert asked == [target.origin]


async def test_a_guard_that_refuses_is_heard_and_nobody_is_dialled(upstream: MakeUpstream) -> None:
    async def resolve(_origin: Origin) -> Sequence[tuple[str, int]]:
        raise Forbidden("This address is not allowed.")

    async with serve(echo) as server:
        client = upstream(resolve=resolve)
        with pytest.raises(Forbidden):
            await client.send(server.target(), b"{}")
        assert server.peers == []
        assert client._lanes[server.target().origin].members == set()


async def test_plain_http_through_a_proxy_asks_for_the_whole_address(upstream: MakeUpstream) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
            await peer.reader.readexactly(2)
            await peer.say(whole(b"ok"))

    async with serve(script) as server:
        client = upstream(proxies=Proxies(http=f"http://me:p%40ss@127.0.0.1:{server.port}"))
        target = Target(origin=Origin("http", HOST, 8080), head=HEAD)
        for _ in range(2):
            assert await (await client.send(target, b"{}")).read(LIMIT) == b"ok"
    line, _, rest = HEAD.partition(b"\r\n")
    assert line == b"POST /v1/chat/completions HTTP/1.1"
    assert (
        heads
        == [
            b"POST http://provider.test:8080/v1/chat/completions HTTP/1.1\r\n"
            b"proxy-authorization: Basic bWU6cEBzcw==\r\n" + rest + b"content-length: 2\r\n\r\n"
        ]
        * 2
    )
    assert client.counters.opened == 1


async def test_https_through_a_proxy_is_a_tunnel_that_hides_the_key_from_it(
    upstream: MakeUpstream, authority: trustme.CA
) -> None:
    relayed = bytearray()
    connects: list[bytes] = []

    async with serve(echo, server_tls(authority)) as provider:

        async def proxy(peer: Peer) -> None:
            connects.append(await peer.reader.readuntil(b"\r\n\r\n"))
            reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
            await peer.say(b"HTTP/1.1 200 Connection established\r\n", b"via: test\r\n", b"\r\n")
            try:
                await asyncio.gather(pump(peer.reader, writer), pump(reader, peer.writer))
            finally:
                writer.transport.abort()

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                relayed.extend(data)
                writer.write(data)
            writer.close()

        async with serve(proxy) as server:
            client = upstream(
                tls=partial(trusting, authority), proxies=Proxies(https=f"http://me:secret@127.0.0.1:{server.port}")
            )
            for body in (b"one", b"two" * 50_000):
                assert await (await client.send(provider.target(HOST), body)).read(LIMIT) == body
            await client.aclose()
    name = b"provider.test:%d" % provider.port
    account = b"proxy-authorization: Basic bWU6c2VjcmV0\r\n"
    assert connects == [b"CONNECT " + name + b" HTTP/1.1\r\nhost: " + name + b"\r\n" + account + b"\r\n"]
    assert relayed
    assert KEY not in relayed
    assert client.counters.opened == 1


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_cancelling_at_any_step_of_a_tunnel_leaves_no_socket(
    upstream: MakeUpstream, authority: trustme.CA, steps: int
) -> None:
    async def script(peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        with suppress(OSError, asyncio.IncompleteReadError):  # the client leaves before or inside the handshake
            await peer.reader.readuntil(b"\r\n\r\n")
            await peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
            await loop.start_tls(peer.writer.transport, Ended(ended), server_tls(authority), server_side=True)
            await ended

    async with serve(script) as server:
        client = upstream(tls=partial(trusting, authority), proxies=Proxies(https=f"127.0.0.1:{server.port}"))
        target = Target(origin=Origin("https", HOST, 443), head=HEAD)
        task = asyncio.create_task(client.send(target, b"{}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await client.aclose()
        await server.deserted()


class Ended(asyncio.Protocol):
    """Says when the connection is lost."""

    def __init__(self, ended: "asyncio.Future[None]") -> None:
        self._ended = ended

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell."""
        if not self._ended.done():
            self._ended.set_result(None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "status 407"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere.test/\r\n\r\n", "status 302"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly bytes", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n", "closed"),
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, "too long"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "cannot be reached"),
    ],
)
async def test_a_proxy_that_refuses_the_tunnel_means_nothing_was_sent(
    upstream: MakeUpstream, answer: bytes, reason: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(answer)

    async with serve(script) as server:
        client = upstream(proxies=Proxies(https=f"http://me:secret@127.0.0.1:{server.port}"))
        target = Target(origin=Origin("https", HOST, 443), head=HEAD)
        with pytest.raises(NetworkFailure, match=reason) as caught:
            await client.send(target, b"{}")
        assert not caught.value.sent
        assert "secret" not in repr(caught.value)
        assert client._lanes[target.origin].members == set()


async def test_a_wrong_certificate_behind_a_tunnel_is_refused(upstream: MakeUpstream, authority: trustme.CA) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError, match=r"."):
            await loop.start_tls(
                peer.writer.transport, asyncio.Protocol(), server_tls(authority, "other.test"), server_side=True
            )

    async with serve(script) as server:
        client = upstream(tls=partial(trusting, authority), proxies=Proxies(https=f"127.0.0.1:{server.port}"))
        target = Target(origin=Origin("https", HOST, 443), head=HEAD)
        with pytest.raises(NetworkFailure, match="certificate") as caught:
            await client.send(target, b"{}")
        assert not caught.value.sent
