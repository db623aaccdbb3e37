"""Hands notices to a mail server, several in one mail; speaks in a thread, and for a bounded time.

The connection is opened here and not by smtplib, so that an attempt that is given up ends its thread at once.
"""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Literal, NamedTuple

from dominion.domain.alerts import Notice
from dominion.domain.errors import NetworkFailure
from dominion.rules.windows import iso

Security = Literal["starttls", "tls", "none"]
SECONDS = 10.0
"""For each step of the conversation; the whole of it is bounded by whoever asks."""
LONGEST_SUBJECT = 120


class MailServer(NamedTuple):
    """Where mail is handed in. `user` "": without signing in."""

    host: str
    port: int
    security: Security
    user: str
    password: str


class Mail:
    """A `services.delivery.Channel`. `tls` makes the context, at first need."""

    name = "email"
    most = 50

    def __init__(
        self,
        server: MailServer,
        sender: str,
        to: Sequence[str],
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._server = server
        self._sender = sender
        self._to = to
        self._tls = tls

    async def deliver(self, notices: Sequence[Notice]) -> None:
        """One mail. Raises OSError or NetworkFailure; what the server said about the password is not repeated."""
        async with asyncio.timeout(SECONDS):
            opened = await _connect(self._server)
        with opened, opened.dup() as ours:  # the conversation may wrap the other in TLS
            talking = asyncio.get_running_loop().run_in_executor(None, self._talk, opened, notices)
            try:
                await asyncio.shield(talking)
            except smtplib.SMTPAuthenticationError as error:
                raise NetworkFailure(f"The mail server refused the sign-in ({error.smtp_code}).") from None
            except asyncio.CancelledError:
                ours.shutdown(socket.SHUT_RDWR)
                await asyncio.wait([talking])
                talking.exception()
                raise

    def _talk(self, opened: socket.socket, notices: Sequence[Notice]) -> None:
        server = self._server
        with _Conversation(opened, server, self._tls) as client:
            if server.security == "starttls":
                client.starttls(context=self._tls())
            if server.user:
                client.login(server.user, server.password)
            client.send_message(_message(notices, self._sender, self._to))


class _Conversation(smtplib.SMTP):
    """Over a connection that is open already."""

    def __init__(self, opened: socket.socket, server: MailServer, tls: Callable[[], ssl.SSLContext]) -> None:
        self._opened = opened
        self._secured = tls if server.security == "tls" else None
        super().__init__(server.host, server.port, local_hostname=socket.gethostname(), timeout=SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:  # noqa: ARG002 - smtplib's seam, as SMTP_SSL has it
        if self._secured is None:
            return self._opened
        return self._secured().wrap_socket(self._opened, server_hostname=host)


async def _connect(server: MailServer) -> socket.socket:
    """The first address that answers. Raises OSError."""
    loop = asyncio.get_running_loop()
    failed: OSError = OSError(f"the mail server {server.host} has no address")
    for family, kind, protocol, _, place in await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, place)
        except OSError as error:
            opened.close()
            failed = error
        except BaseException:
            opened.close()
            raise
        else:
            opened.settimeout(SECONDS)
            return opened
    raise failed


def _message(notices: Sequence[Notice], sender: str, to: Sequence[str]) -> EmailMessage:
    """A mail whose id is that of its first notice, so that a mail sent again can be known."""
    message = EmailMessage()
    what = notices[0].text if len(notices) == 1 else f"{len(notices)} alerts"
    subject = " ".join(f"Dominion: {what}".split())
    message["Subject"] = subject if len(subject) <= LONGEST_SUBJECT else f"{subject[: LONGEST_SUBJECT - 3]}..."
    message["From"], message["To"] = sender, ", ".join(to)
    message["Date"] = format_datetime(datetime.fromtimestamp(notices[0].at / 1000, UTC))
    message["Message-ID"] = f"<{notices[0].id}.{len(notices)}@dominion>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join(f"{one.text}\n{iso(one.at / 1000)} {one.kind} {one.id}" for one in notices) + "\n")
    return message
