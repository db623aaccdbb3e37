"""The request that every target of the bench gets, byte for byte the same but for the key."""

import json

PATH = "/v1/chat/completions"
MESSAGES = "/v1/messages"
MODEL = "bench-model"
PROVIDER = "bench"
_PROMPT = "All the requests of this bench carry the same kilobyte of words. " * 12


def completion_body(*, events: int = 0, pace_ms: int = 0) -> bytes:
    """A chat request of about 1 KB. `events` > 0 asks for a stream of so many frames, `pace_ms` apart (0: at once).

    `max_tokens` and `user` tell the mock how many and how fast; a gateway hands both on untouched.
    """
    body: dict[str, object] = {
        "model": f"{PROVIDER}/{MODEL}",
        "messages": [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": _PROMPT}],
        "max_tokens": events or 64,
        "user": f"pace-{pace_ms}",
        "temperature": 0.2,
    }
    if events:
        body["stream"] = True
    return json.dumps(body, separators=(",", ":")).encode()


def messages_body(*, events: int, pace_ms: int) -> bytes:
    """The same stream, asked for in Anthropic's dialect: a gateway translates the request and the answer."""
    body: dict[str, object] = {
        "model": f"{PROVIDER}/{MODEL}",
        "system": "Answer briefly.",
        "messages": [{"role": "user", "content": _PROMPT}],
        "max_tokens": events,
        "metadata": {"user_id": f"pace-{pace_ms}"},
        "temperature": 0.2,
        "stream": True,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def request_bytes(port: int, key: str, body: bytes, path: str = PATH) -> bytes:
    """The whole HTTP/1.1 request for a server on this loopback port."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
