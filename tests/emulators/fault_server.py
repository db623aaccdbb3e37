"""A provider over real sockets that breaks its answers as its address says: `{url}/{fault}/{case}{path of the API}`.

`well` is the fault of a server without one; `well-omega` says omega where others say alpha. Where the address cannot
name the fault, the prompt can: an address that begins with /prompted looks for `fault=NAME` in the body.
"""

import asyncio
import re
import socket
from types import TracebackType
from typing import Self

from tests.emulators.faults import FAULTS, Turn
from tests.emulators.listening import Asked, Listening
from tests.emulators.spoken import SPOKEN, Spoken

_STREAMED = re.compile(rb'"stream":\s*true')
_PROMPTED = re.compile(rb"fault=([\w-]+)")


class FaultServer(Listening):
    """Every fault of every dialect, and an address where nobody listens."""

    def __init__(self, spoken: tuple[Spoken, ...] = SPOKEN) -> None:
        super().__init__(self._answer)
        self._spoken = spoken
        self._seen: set[tuple[str, bytes]] = set()

    def __enter__(self) -> Self:
        self._dead = socket.socket()
        self._dead.bind(("127.0.0.1", 0))  # never listens, and keeps the port from others
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dead.close()
        super().__exit__(kind, error, trace)

    def base_url(self, fault: str, case: str = "any") -> str:
        """Where a slot must lead to meet this fault; `case` tells slots apart."""
        dead = f"http://127.0.0.1:{self._dead.getsockname()[1]}"
        return f"{dead if fault == 'refused' else self.urls[0]}/{fault}/{case}"

    async def _answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = asked.path.split("/")[1]
        if name == "prompted":
            found = _PROMPTED.search(asked.body)
            name = found[1].decode() if found else "well"
        stream = bool(_STREAMED.search(asked.body)) or "stream" in asked.path.rpartition("/")[2].lower()
        again = (asked.path, asked.body) in self._seen  # what comes twice is the same request again
        self._seen.add((asked.path, asked.body))
        turn = Turn(self._find(asked.path), reader, writer, stream=stream, first=not again)
        if name.startswith("well"):
            await turn.well(turn.spoken.saying(name[5:].encode()) if name[5:] else None)
        else:
            play = FAULTS[name].play
            assert play is not None
            await play(turn)

    def _find(self, path: str) -> Spoken:
        plain = path.partition("?")[0]
        return next(spoken for spoken in self._spoken if plain.endswith(spoken.path))
