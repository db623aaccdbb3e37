"""upstream/webhook.py: signed, to the operator's address and nowhere else, in bounded time."""

import hashlib
import hmac
import json

import pytest

from dominion.domain.alerts import Notice
from dominion.domain.errors import ConfigProblem, NetworkFailure, ProviderTimeout, UnexpectedResponse
from dominion.upstream.ask import HttpAsk
from dominion.upstream.webhook import Webhook
from tests.services.clocks import HandClock
from tests.upstream.conftest import MakeUpstream
from tests.upstream.hostile import Peer, Server, answering, serve, silent, whole

SECRET = "a secret of some length"
NOTICE = Notice("ntc_1", "limit", 1_790_000_000_000, "Größe ≠ 0", {"percent": 80})


def webhook(upstream: MakeUpstream, server: Server, seconds: float = 5.0) -> Webhook:
    ask = HttpAsk(upstream(), "dominion/1", seconds, plain=True)
    return Webhook(ask, f"http://127.0.0.1:{server.port}/hooks/CANARY?a=b", SECRET, HandClock(1_790_000_100.7))


async def test_a_notice_is_posted_as_json_with_a_signature_over_time_and_body(upstream: MakeUpstream) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        seen.append((head, await peer.reader.readexactly(length)))
        await peer.say(whole(b"", status=b"204 No Content"))

    async with serve(script) as server:
        await webhook(upstream, server).deliver([NOTICE])
    ((head, body),) = seen
    assert head.startswith(b"POST /hooks/CANARY?a=b HTTP/1.1\r\n")
    assert b"\r\ncontent-type: application/json\r\n" in head
    assert json.loads(body) == {
        "id": "ntc_1",
        "kind": "limit",
        "at": "2026-09-21T14:13:20Z",
        "text": "Größe ≠ 0",
        "data": {"percent": 80},
    }
    signed = hmac.new(SECRET.encode(), b"1790000100." + body, hashlib.sha256).hexdigest()
    assert f"\r\nx-dominion-signature: t=1790000100,v1={signed}\r\n".encode() in head


@pytest.mark.parametrize("status", [b"500 No", b"404 No", b"302 Found", b"307 Temporary", b"400 Bad"])
async def test_any_other_answer_than_yes_is_a_failure_and_no_redirect_is_followed(
    upstream: MakeUpstream, status: bytes
) -> None:
    async with serve(answering(whole(b"", status=b"200 OK"))) as elsewhere:
        there = b"location: http://127.0.0.1:%d/" % elsewhere.port
        async with serve(answering(whole(b"", there, status=status))) as server:
            with pytest.raises(UnexpectedResponse) as caught:
                await webhook(upstream, server).deliver([NOTICE])
        assert elsewhere.peers == []
    assert "CANARY" not in caught.value.message


async def test_a_receiver_that_hangs_or_is_slow_is_left_in_time(upstream: MakeUpstream) -> None:
    async def slow(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        await peer.gone()

    for script in (silent, slow):
        async with serve(script) as server:
            with pytest.raises(ProviderTimeout) as caught:
                await webhook(upstream, server, 0.05).deliver([NOTICE])
            await server.deserted()
        assert "CANARY" not in caught.value.message


async def test_nobody_there_is_a_failure_that_does_not_name_the_path(upstream: MakeUpstream) -> None:
    async with serve(silent) as server:
        hook = webhook(upstream, server)
    with pytest.raises(NetworkFailure) as caught:
        await hook.deliver([NOTICE])
    assert "CANARY" not in caught.value.message


@pytest.mark.parametrize("url", ["http://x/\u00e9", "http://user:CANARY@host/", "https://"])
async def test_an_address_that_cannot_be_one_is_told_without_its_secret(upstream: MakeUpstream, url: str) -> None:
    hook = Webhook(HttpAsk(upstream(), "dominion/1", plain=True), url, SECRET, HandClock())
    with pytest.raises(ConfigProblem) as caught:
        await hook.deliver([NOTICE])
    assert "CANARY" not in str(caught.value)
