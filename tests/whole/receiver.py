"""A webhook's receiver that checks each signature, answers as it is told, and remembers what came."""

import asyncio
import hashlib
import hmac
import json
import threading
import time
from typing import Any

from tests.emulators.listening import Asked, Listening

SECRET = "a-secret-of-receivers"


class Receiver(Listening):
    """`status` is what it answers; "": nothing, ever. `got` are the notices, each as often as it came."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.status = "200 OK"
        self.got: list[dict[str, Any]] = []
        self.came = threading.Condition()

    def settings(self) -> dict[str, str]:
        """The environment of a gateway that tells it."""
        return {"ALERT_WEBHOOK_URL": f"{self.urls[0]}/alerts", "ALERT_WEBHOOK_SECRET": SECRET}

    def wait_for(self, kind: str, count: int = 1, seconds: float = 15.0) -> list[dict[str, Any]]:
        """Notices of a kind, once there are so many."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.of(kind)) >= count, seconds), (kind, count, self.got)
            return self.of(kind)

    def of(self, kind: str, scope: str = "") -> list[dict[str, Any]]:
        """Notices of a kind until now."""
        return [one for one in self.got if one["kind"] == kind and one["data"].get("scope", scope).startswith(scope)]

    async def _answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at, _, signed = asked.headers["x-dominion-signature"].partition(",v1=")
        expected = hmac.new(SECRET.encode(), at.removeprefix("t=").encode() + b"." + asked.body, hashlib.sha256)
        assert hmac.compare_digest(signed, expected.hexdigest())
        assert abs(time.time() - int(at.removeprefix("t="))) < 60
        with self.came:
            self.got.append(json.loads(asked.body))
            self.came.notify_all()
        if not self.status:
            await reader.read()  # until the gateway has had enough
            return
        writer.write(f"HTTP/1.1 {self.status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
