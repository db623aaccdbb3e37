"""Emulators of the native providers: as strict about path, credential and body as they are. Never written by our code,
but for the recomputation of AWS's signature, whose own proof is in tests/credentials.
"""

import asyncio
import base64
import calendar
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dominion.credentials.sigv4 import AwsKeys, Signer
from tests.emulators.listening import Answering, Asked, Listening
from tests.emulators.spoken import ANTHROPIC_MESSAGES, INPUT_TOKENS, OPENAI_CHAT, OUTPUT_TOKENS, PIECES, TEXT, Spoken
from tests.emulators.spoken import packed as jsons
from tests.wire.event_frames import frame_of

REGION, PROJECT = "eu-west-1", "my-gcp-project"
AWS = AwsKeys("AKIDEXAMPLE", "aws-secret-canary")
_COUNTS = {"promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS}
_COUNTS["totalTokenCount"] = INPUT_TOKENS + OUTPUT_TOKENS


class Refused(Exception):
    """The service finds fault with a request."""


class Native(NamedTuple):
    """One API of one provider. `name` tells APIs of one provider apart; `path` and `stream_path` hold "{model}";
    `model` is part of the names of its models; `wants` are names in the body, `lacks` names that may not be there.
    """

    name: str
    provider: str
    path: str
    spoken: Spoken
    model: str = ""
    stream_path: str = ""
    wants: tuple[str, ...] = ("messages", "model")
    lacks: tuple[str, ...] = ()


# --- what they say


def _gemini(text: str, **more: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    return {"candidates": [{"content": content, "index": 0} | more], "usageMetadata": _COUNTS, "modelVersion": "g"}


GEMINI = Spoken(
    name="gemini",
    path="",
    whole=jsons(_gemini(TEXT, finishReason="STOP"))[0],
    events=jsons(*(_gemini(piece) for piece in PIECES), _gemini("", finishReason="STOP")),
    failure=b"",
    pack=lambda payload: b"data: %b\r\n\r\n" % payload,
)


def _event(name: str, payload: bytes) -> bytes:
    """A message of an AWS event stream."""
    told = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        b"%c%b\x07%b%b" % (len(key), key.encode(), len(value).to_bytes(2, "big"), value.encode())
        for key, value in told.items()
    )
    return frame_of(headers, payload)


def _converse_pack(payload: bytes) -> bytes:
    ((name, value),) = json.loads(payload).items()
    return _event(name, json.dumps(value | {"p": "abc"}).encode())


def _invoke_pack(payload: bytes) -> bytes:
    return _event("chunk", json.dumps({"bytes": base64.b64encode(payload).decode(), "p": "ab"}).encode())


def _converse_events() -> Iterator[dict[str, Any]]:
    yield {"messageStart": {"role": "assistant"}}
    for piece in PIECES:
        yield {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": piece}}}
    yield {"contentBlockStop": {"contentBlockIndex": 0}}
    yield {"messageStop": {"stopReason": "end_turn"}}
    yield {"metadata": {"usage": _CONVERSE_USAGE, "metrics": {"latencyMs": 1}}}


_CONVERSE_USAGE = {"inputTokens": INPUT_TOKENS, "outputTokens": OUTPUT_TOKENS}
_CONVERSE_USAGE["totalTokens"] = INPUT_TOKENS + OUTPUT_TOKENS
_EVENT_STREAM = b"application/vnd.amazon.eventstream"
CONVERSE = Spoken(
    name="bedrock_converse",
    path="",
    whole=jsons(
        {
            "output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}},
            "stopReason": "end_turn",
            "usage": _CONVERSE_USAGE,
            "metrics": {"latencyMs": 1},
        }
    )[0],
    events=jsons(*_converse_events()),
    failure=b"",
    pack=_converse_pack,
    stream_type=_EVENT_STREAM,
)
INVOKE = ANTHROPIC_MESSAGES._replace(name="bedrock_invoke", pack=_invoke_pack, stream_type=_EVENT_STREAM)


def _ollama(text: str, **more: Any) -> dict[str, Any]:
    told = {"model": "m", "created_at": "2026-11-21T12:00:00Z", "message": {"role": "assistant", "content": text}}
    return told | {"done": False} | more


_OLLAMA_END = {"done": True, "done_reason": "stop", "prompt_eval_count": INPUT_TOKENS, "eval_count": OUTPUT_TOKENS}
OLLAMA = Spoken(
    name="ollama_chat",
    path="",
    whole=jsons(_ollama(TEXT, **_OLLAMA_END))[0],
    events=jsons(*map(_ollama, PIECES), _ollama("", **_OLLAMA_END)),
    failure=b"",
    pack=lambda payload: payload + b"\n",
    stream_type=b"application/x-ndjson",
)

_PLACE = f"/v1/projects/{PROJECT}/locations/us-central1/publishers"
NATIVES = (
    Native("anthropic", "anthropic", "/v1/messages", ANTHROPIC_MESSAGES, "claude-"),
    Native("openai", "openai", "/v1/chat/completions", OPENAI_CHAT, "gpt-"),
    Native("copilot", "copilot", "/chat/completions", OPENAI_CHAT),
    Native("qwen_oauth", "qwen_oauth", "/v1/chat/completions", OPENAI_CHAT),
    Native(
        "bedrock_converse",
        "bedrock",
        "/model/{model}/converse",
        CONVERSE,
        "amazon.nova-",
        "/model/{model}/converse-stream",
        ("messages",),
        ("model", "stream"),
    ),
    Native(
        "bedrock_invoke",
        "bedrock",
        "/model/{model}/invoke",
        INVOKE,
        "anthropic.claude-",
        "/model/{model}/invoke-with-response-stream",
        ("messages", "anthropic_version", "max_tokens"),
        ("model", "stream"),
    ),
    Native(
        "vertex_gemini",
        "vertex",
        _PLACE + "/google/models/{model}:generateContent",
        GEMINI,
        "gemini-",
        _PLACE + "/google/models/{model}:streamGenerateContent?alt=sse",
        ("contents",),
        ("model", "stream"),
    ),
    Native(
        "vertex_claude",
        "vertex",
        _PLACE + "/anthropic/models/{model}:rawPredict",
        ANTHROPIC_MESSAGES,
        "claude-",
        _PLACE + "/anthropic/models/{model}:streamRawPredict",
        ("messages", "anthropic_version", "max_tokens"),
        ("model",),
    ),
    Native(
        "gemini",
        "gemini",
        "/v1beta/models/{model}:generateContent",
        GEMINI,
        "gemini-",
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
        ("contents",),
        ("model", "stream"),
    ),
    Native(
        "azure_openai",
        "azure_openai",
        "/openai/deployments/{model}/chat/completions?api-version=2024-10-21",
        OPENAI_CHAT,
    ),
    Native("ollama", "ollama", "/api/chat", OLLAMA, "llama"),
)
# --- who may ask

Check = Callable[[Asked], None]


def _shows(**headers: str) -> Check:
    """Exactly these credentials, and no other."""

    def check(asked: Asked) -> None:
        known = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
        shown = {name: asked.headers[name] for name in known if name in asked.headers}
        wanted = {name.replace("_", "-"): value for name, value in headers.items()}
        if shown != wanted:
            raise Refused(f"credentials in {sorted(shown)}, not {sorted(wanted)}, or wrong ones")

    return check


def check_signature(asked: Asked) -> None:
    """AWS's signature over exactly this request, by the right keys, for the right region, now."""
    stamp = asked.headers["x-amz-date"]
    signed_at = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    if abs(time.time() - signed_at) > 300:
        raise Refused(f"signed at {stamp}")
    lines = Signer(AWS, REGION, asked.headers["host"]).sign(asked.path.encode(), asked.body, signed_at).decode()
    if f"authorization: {asked.headers['authorization']}\r\n" not in lines or "x-api-key" in asked.headers:
        raise Refused("The request signature we calculated does not match the signature you provided.")


class Natives(Listening):
    """Every native API on a port of its own, and the endpoints of their sign-ins on the last one.

    `files` is a folder for the files of sign-ins, which `write_files` fills. `tokens` counts what was asked of each
    token endpoint. `counts` are answers (status, body) to requests that count tokens, by path; `counted` the requests.
    """

    def __init__(self, files: Path) -> None:
        self.files = files
        self.tokens: dict[str, int] = {}
        self.counts: dict[str, tuple[int, bytes]] = {}
        self.counted: list[Asked] = []
        self._key = generate_private_key(65537, 2048)
        self._checks: dict[str, Check] = {
            "anthropic": _shows(x_api_key="sk-ant-canary"),
            "openai": _shows(authorization="Bearer sk-canary"),
            "copilot": _shows(authorization="Bearer copilot-short"),
            "qwen_oauth": _shows(authorization="Bearer qwen-new"),
            "bedrock": check_signature,
            "vertex": _shows(authorization="Bearer ya29.short"),
            "gemini": _shows(x_goog_api_key="AIza-canary"),
            "azure_openai": _shows(api_key="azure-canary"),
            "ollama": _shows(),
        }
        providers = dict.fromkeys(native.provider for native in NATIVES)
        self._ports = [*providers, "sign-ins"]
        super().__init__(*(self._server_of(provider) for provider in providers), self._sign_ins)

    def url(self, provider: str) -> str:
        """Where a provider listens, or the "sign-ins"."""
        return self.urls[self._ports.index(provider)]

    def write_files(self) -> None:
        """What people and consoles would have put there."""
        (self.files / "copilot_token.txt").write_text("gho_canary\n")
        old = {"access_token": "qwen-old", "refresh_token": "qwen-refresh", "expires_at": 1}
        (self.files / "qwen.json").write_text(json.dumps(old | {"resource_url": self.url("qwen_oauth")}))
        for name in ("copilot_token.txt", "qwen.json"):
            (self.files / name).chmod(0o600)
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {"type": "service_account", "client_email": "x@y.iam", "private_key": pem, "project_id": PROJECT}
        (self.files / "key.json").write_text(json.dumps(account | {"token_uri": f"{self.url('sign-ins')}/google"}))

    def _server_of(self, provider: str) -> Answering:
        apis = [native for native in NATIVES if native.provider == provider]

        async def answer(asked: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if asked.path in self.counts:
                self._checks[provider](asked)
                self.counted.append(asked)
                status, told = self.counts[asked.path]
                await say(writer, status, b"application/json", told)
                return
            try:
                native, stream = _meant(asked, apis)
                self._checks[provider](asked)
                _check_body(asked, native)
            except Refused as refused:
                await say(writer, 400, b"application/json", json.dumps({"error": {"message": str(refused)}}).encode())
            else:
                spoken = native.spoken
                pieces = spoken.frames() if stream else [spoken.whole]
                await say(writer, 200, spoken.stream_type if stream else spoken.whole_type, *pieces)

        return answer

    async def _sign_ins(self, asked: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tokens[asked.path] = self.tokens.get(asked.path, 0) + 1
        match asked.method, asked.path:
            case "GET", "/copilot_internal/v2/token":
                assert asked.headers["authorization"] == "token gho_canary"
                told = {"token": "copilot-short", "expires_at": int(time.time()) + 1800, "refresh_in": 1500}
            case "POST", "/api/v1/oauth2/token":
                form = parse_qs(asked.body.decode())
                assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["qwen-refresh"])
                told = {"access_token": "qwen-new", "refresh_token": "qwen-next", "expires_in": 3600}
            case "POST", "/google":
                self._check_assertion(parse_qs(asked.body.decode())["assertion"][0])
                told = {"access_token": "ya29.short", "expires_in": 3599, "token_type": "Bearer"}
            case _:
                raise AssertionError(f"no such endpoint: {asked.method} {asked.path}")
        await say(writer, 200, b"application/json", json.dumps(told).encode())

    def _check_assertion(self, assertion: str) -> None:
        """Raises InvalidSignature."""
        head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in assertion.split("."))
        signed = assertion.rpartition(".")[0].encode()
        self._key.public_key().verify(signature, signed, PKCS1v15(), SHA256())
        assert json.loads(head)["alg"] == "RS256"
        told = json.loads(claims)
        assert (told["iss"], told["aud"]) == ("x@y.iam", f"{self.url('sign-ins')}/google")
        assert abs(told["iat"] - time.time()) < 300


def _meant(asked: Asked, apis: list[Native]) -> tuple[Native, bool]:
    """The API that a request is for, and whether it asks for a stream."""
    for native in apis:
        for path in filter(None, (native.path, native.stream_path)):
            found = re.fullmatch(re.escape(path).replace(re.escape("{model}"), "(?P<model>[^/]+)"), asked.path)
            if (
                found
                and asked.method == "POST"
                and native.model in unquote(found.groupdict().get("model", native.model))
            ):
                said = json.loads(asked.body).get("stream", False)
                return native, path == native.stream_path if native.stream_path else said
    raise Refused(f"no route {asked.method} {asked.path}")


def _check_body(asked: Asked, native: Native) -> None:
    body = json.loads(asked.body)
    if asked.headers.get("content-type") != "application/json" or b"Hello!" not in asked.body:
        raise Refused("no JSON, or not what was asked")
    missing, surplus = [name for name in native.wants if name not in body], [*filter(body.get, native.lacks)]
    if missing or surplus:
        raise Refused(f"the body lacks {missing} or has {surplus}")
    if native.name == "anthropic" and asked.headers.get("anthropic-version") != "2023-06-01":
        raise Refused("anthropic-version: header is required")
    if "model" in native.wants and native.model not in body["model"]:
        raise Refused(f"no model {body['model']}")


async def say(writer: asyncio.StreamWriter, status: int, kind: bytes, *pieces: bytes) -> None:
    """One answer, in pieces."""
    length = sum(map(len, pieces))
    writer.write(b"HTTP/1.1 %d Said\r\ncontent-type: %b\r\ncontent-length: %d\r\n" % (status, kind, length))
    writer.write(b"connection: close\r\n\r\n")
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
