"""upstream/ask.py: small requests that carry secrets go to the named address only, encrypted, and end in time."""

import asyncio

import pytest

from dominion.domain.errors import ConfigProblem, NetworkFailure, ProviderTimeout, UnexpectedResponse
from dominion.upstream.ask import LARGEST, HttpAsk
from tests.upstream.conftest import MakeUpstream
from tests.upstream.hostile import Peer, serve, silent, whole


async def test_a_request_is_written_as_given_and_its_answer_read_whatever_its_status(upstream: MakeUpstream) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            try:
                heads.append(await peer.reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError as error:
                raise ConnectionResetError from error
            body = await peer.reader.readexactly(int(heads[-1].split(b"content-length: ")[1].split(b"\r\n")[0]))
            await peer.say(whole(b"no " + body, b"location: https://elsewhere.test/", status=b"302 Found"))

    async with serve(script) as server:
        ask = HttpAsk(upstream(), "dominion/1")
        url = f"http://127.0.0.1:{server.port}"
        assert await ask("POST", f"{url}/token?a=b", {"x-one": "1"}, b"form") == (302, b"no form")
        assert await ask("GET", url, {"user-agent": "mine"}) == (302, b"no ")
    host = b"host: 127.0.0.1:%d\r\naccept-encoding: identity\r\n" % server.port
    assert heads == [
        b"POST /token?a=b HTTP/1.1\r\n" + host + b"user-agent: dominion/1\r\nx-one: 1\r\ncontent-length: 4\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"user-agent: mine\r\ncontent-length: 0\r\n\r\n",
    ]


async def test_an_endpoint_that_never_answers_is_given_up_and_its_connection_cut(upstream: MakeUpstream) -> None:
    async with serve(silent) as server:
        with pytest.raises(ProviderTimeout, match="did not answer within"):
            await HttpAsk(upstream(), "dominion/1", 0.05)("GET", f"http://127.0.0.1:{server.port}/", {})
        await server.deserted()


async def test_an_answer_without_end_is_refused(upstream: MakeUpstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(whole(b"x" * (LARGEST + 1)))

    async with serve(script) as server:
        with pytest.raises(UnexpectedResponse, match="longer than"):
            await HttpAsk(upstream(), "dominion/1")("POST", f"http://127.0.0.1:{server.port}/", {}, b"x")


async def test_nobody_there_is_a_network_failure(upstream: MakeUpstream) -> None:
    async with serve(silent) as server:
        port = server.port
    with pytest.raises(NetworkFailure):
        await HttpAsk(upstream(), "dominion/1")("GET", f"http://127.0.0.1:{port}/", {})


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://login.example/token", "not sent to login.example unencrypted"),
        ("ftp://login.example/token", "must begin with"),
        ("https://user:CANARY@login.example/token", "user name"),
        ("https://login.example/a b", "wrong"),
        ("https://login.example/?a b", "wrong"),
        ("https://[login/", "wrong"),
        ("", "wrong"),
    ],
)
async def test_an_address_that_secrets_must_not_go_to_is_refused(
    upstream: MakeUpstream, url: str, sentence: str
) -> None:
    with pytest.raises(ConfigProblem, match=sentence) as caught:
        await HttpAsk(upstream(), "dominion/1")("POST", url, {}, b"CANARY")
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "é", "a\0"])
async def test_a_header_that_writes_headers_of_its_own_is_refused(upstream: MakeUpstream, value: str) -> None:
    with pytest.raises(ConfigProblem, match="headers cannot have"):
        await HttpAsk(upstream(), "dominion/1")("GET", "https://login.example/", {"authorization": value})
