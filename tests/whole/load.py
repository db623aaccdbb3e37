"""Callers in a process of their own: each keeps asking, and writes down what it was answered in full.

Run as a program: `load.py URL KEY CALLERS LOG`. Every line of LOG is the name of a request whose answer was read to its
last byte; the name is the prompt and the label of the run. A connection that breaks is opened again; an answer that is
cut, or ended by an error, is not written down.
"""

import asyncio
import itertools
import json
import sys
from pathlib import Path

MODELS = (
    ("faults/drip-3-4", True),
    ("faults/drip-2-5", False),
    ("faults/drip-40-5", True),
    ("faults/drip-6-2", True),
    ("faults/drip-1-1", False),
    ("faults/drip-12-20", True),
)
PAUSE = 0.1
"""Seconds before a caller asks again whose request has failed."""


class RefusedError(ConnectionError):
    """An answer with another status than 200. `told_when`: it says when to come again."""

    def __init__(self, head: bytes) -> None:
        super().__init__(head[:40])
        self.status = int(head[9:12])
        self.told_when = b"\r\nretry-after:" in head.lower()


async def caller(number: int, host: str, port: int, key: str, log: Path) -> None:
    with log.open("a", buffering=1) as answered:
        for count in itertools.count():
            model, stream = MODELS[(number + count) % len(MODELS)]
            nonce = f"n{number}-{count}"
            try:
                await ask(host, port, key, model, nonce, stream=stream)
            except (ConnectionError, asyncio.IncompleteReadError, OSError):
                await asyncio.sleep(PAUSE)
            else:
                answered.write(f"{nonce}\n")


async def ask(host: str, port: int, key: str, model: str, nonce: str, *, stream: bool) -> None:
    """One request; raises unless the answer is a complete 200."""
    body = json.dumps(
        {"model": model, "stream": stream, "max_tokens": 50, "messages": [{"role": "user", "content": nonce}]}
    ).encode()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\nconnection: close\r\n"
            b"x-dominion-run: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (key.encode(), nonce.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RefusedError(head)
        if stream:
            answer = await reader.readuntil(b"data: [DONE]\n\n")
            if b'data: {"error"' in answer:
                raise ConnectionError("the stream was ended by an error")
        else:
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
    finally:
        writer.close()


async def main(url: str, key: str, callers: int, log: Path) -> None:
    host, port = url.removeprefix("http://").split(":")
    await asyncio.gather(*[caller(number, host, int(port), key, log) for number in range(callers)])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
