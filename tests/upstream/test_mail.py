"""upstream/mail.py: notices as mail, encrypted, in bounded time, and never a password in an error."""

import asyncio
import smtplib
import ssl
import threading

import pytest
import trustme

from dominion.domain.alerts import Notice
from dominion.domain.errors import NetworkFailure
from dominion.upstream.mail import Mail, MailServer, Security
from tests.upstream.hostile import Peer, serve, silent
from tests.upstream.mailbox import Mailbox

AT = 1_790_000_000_000
ONE = Notice("ntc_1", "limit", AT, "customer Größe has reached 80 %.", {})
TWO = Notice("ntc_2", "test", AT + 1000, "Nothing is wrong.", {})
CANARY = "CANARY-password"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def mail(
    port: int,
    security: Security = "none",
    password: str = "",
    tls: ssl.SSLContext | None = None,
    host: str = "localhost",
) -> Mail:
    server = MailServer(host, port, security, "user" if password else "", password)
    to = ["ops@example.com", "boss@example.com"]
    return Mail(server, "gateway@example.com", to, (lambda: tls) if tls else ssl.create_default_context)


async def test_one_notice_is_a_mail_that_says_it_in_its_subject() -> None:
    box = Mailbox()
    async with serve(box) as server:
        await mail(server.port).deliver([ONE])
    (got,) = box.mails
    assert got["subject"] == "Dominion: customer Größe has reached 80 %."
    assert (got["from"], got["to"]) == ("gateway@example.com", "ops@example.com, boss@example.com")
    assert (got["message-id"], got["auto-submitted"]) == ("<ntc_1.1@dominion>", "auto-generated")
    assert got["date"] == "Mon, 21 Sep 2026 14:13:20 +0000"
    assert got.get_content() == "customer Größe has reached 80 %.\n2026-09-21T14:13:20Z limit ntc_1\n"


async def test_several_notices_are_one_mail() -> None:
    box = Mailbox()
    async with serve(box) as server:
        await mail(server.port).deliver([ONE, TWO])
    (got,) = box.mails
    assert got["subject"] == "Dominion: 2 alerts"
    assert got.get_content().count("ntc_") == 2


async def test_what_others_wrote_makes_no_header() -> None:
    box = Mailbox()
    bad = Notice("ntc_1", "limit", AT, "customer x\r\nBcc: all@example.com\r\n\r\n" + 200 * "y", {})
    async with serve(box) as server:
        await mail(server.port).deliver([bad])
    (got,) = box.mails
    assert got["bcc"] is None
    assert len(got["subject"]) == 120


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_the_password_and_the_mail_go_encrypted(
    security: Security, server_side: ssl.SSLContext, client_side: ssl.SSLContext
) -> None:
    box = Mailbox(tls=server_side, password=CANARY)
    async with serve(box, server_side if security == "tls" else None) as server:
        await mail(server.port, security, CANARY, client_side).deliver([ONE])
    assert (len(box.mails), box.encrypted) == (1, [True])
    assert box.commands.index("AUTH") > (box.commands.index("STARTTLS") if security == "starttls" else -1)


async def test_a_server_that_offers_no_encryption_gets_neither_password_nor_mail(client_side: ssl.SSLContext) -> None:
    box = Mailbox(password=CANARY)
    async with serve(box) as server:
        with pytest.raises(smtplib.SMTPNotSupportedError, match="STARTTLS"):
            await mail(server.port, "starttls", CANARY, client_side).deliver([ONE])
    assert "AUTH" not in box.commands
    assert box.mails == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_server_that_nobody_vouches_for_gets_nothing(security: Security, server_side: ssl.SSLContext) -> None:
    box = Mailbox(tls=server_side, password=CANARY)
    async with serve(box, server_side if security == "tls" else None) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await mail(server.port, security, CANARY).deliver([ONE])
        await server.deserted()
    assert "AUTH" not in box.commands


async def test_a_refused_sign_in_does_not_repeat_the_password() -> None:
    box = Mailbox(password="another")
    async with serve(box) as server:
        with pytest.raises(NetworkFailure, match=r"refused the sign-in \(535\)") as caught:
            await mail(server.port, "none", CANARY).deliver([ONE])
    assert CANARY not in repr(caught.value) + str(caught.value.__cause__)
    assert box.mails == []


@pytest.mark.parametrize("word", ["MAIL", "DATA", "RCPT", "EHLO"])
async def test_a_refusal_is_an_error(word: str) -> None:
    box = Mailbox(refuses={word: "550 not here", "HELO": "550 not here"})
    async with serve(box) as server:
        with pytest.raises(OSError, match="not here"):
            await mail(server.port).deliver([ONE])
    assert box.mails == []


async def test_nobody_there_is_an_error() -> None:
    async with serve(silent) as server:
        port = server.port
    with pytest.raises(OSError, match=r"Errno 111"):
        await mail(port).deliver([ONE])


async def drip(peer: Peer) -> None:
    """Never ends its greeting."""
    while True:
        await peer.say(b"220-still here\r\n")


@pytest.mark.parametrize("script", [silent, drip])
@pytest.mark.parametrize("security", ["none", "tls"])
async def test_a_server_that_never_ends_is_left_at_once_when_time_is_up(script: object, security: Security) -> None:
    threads = threading.active_count()
    async with serve(script) as server:  # type: ignore[arg-type]
        delivering = asyncio.create_task(mail(server.port, security).deliver([ONE]))
        await server.arrived(1)
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
        await server.deserted()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert threading.active_count() <= threads
