"""A small mail server for tests, on raw sockets: it takes mail, or does not, as it is told."""

import base64
import email
import email.policy
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage

from tests.upstream.hostile import Peer


@dataclass
class Mailbox:
    """The script of a server (see `hostile.serve`). `refuses` maps the first word of a command to the answer to it."""

    tls: ssl.SSLContext | None = None
    password: str = ""
    refuses: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def __call__(self, peer: Peer) -> None:
        secured = peer.writer.get_extra_info("ssl_object") is not None
        await peer.say(b"220 mail.test ready\r\n")
        while line := await peer.reader.readline():
            word, _, rest = line.decode().strip().partition(" ")
            self.commands.append(word)
            match word.upper():
                case refused if refused in self.refuses:
                    await peer.say(f"{self.refuses[refused]}\r\n".encode())
                case "EHLO":
                    offers = (["STARTTLS"] if self.tls and not secured else []) + (
                        ["AUTH PLAIN"] if self.password else []
                    )
                    names = ["mail.test", *offers]
                    lines = [f"250{' ' if name == names[-1] else '-'}{name}\r\n" for name in names]
                    await peer.say("".join(lines).encode())
                case "STARTTLS":
                    assert self.tls is not None
                    peer.writer.write(b"220 go on\r\n")  # and read nothing before the other protocol does
                    try:
                        await peer.writer.start_tls(self.tls)
                    except ssl.SSLError:  # whoever asks does not trust us
                        return
                    secured = True
                case "AUTH":
                    given = base64.b64decode(rest.removeprefix("PLAIN ")).decode().split("\0")
                    right = given == ["", "user", self.password]
                    await peer.say(b"235 yes\r\n" if right else b"535 no: " + given[2].encode() + b"\r\n")
                case "DATA":
                    await peer.say(b"354 end with a dot\r\n")
                    text = await peer.reader.readuntil(b"\r\n.\r\n")
                    found = email.message_from_bytes(text[:-3].replace(b"\r\n", b"\n"), policy=email.policy.default)
                    assert isinstance(found, EmailMessage)
                    self.mails.append(found)
                    self.encrypted.append(secured)
                    await peer.say(b"250 taken\r\n")
                case "QUIT":
                    await peer.say(b"221 bye\r\n")
                    return
                case _:
                    await peer.say(b"250 yes\r\n")
