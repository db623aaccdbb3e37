"""The stub provider: deterministic answers and faults, told by model name, in the OpenAI chat dialect.

Pure: a request becomes a plan, a sequence of steps that an upstream plays. It never asks a model anything.

| model           | what it does                                                                                  |
|-----------------|-----------------------------------------------------------------------------------------------|
| echo, stub      | repeats the last text of the user                                                             |
| answer-<n>      | exactly n tokens (up to 100,000)                                                              |
| slow-<ms>       | as echo, the first byte after ms milliseconds (up to 600,000)                                 |
| drip-<n>x<ms>   | n tokens, one every ms milliseconds                                                           |
| hang            | accepts the request and never answers                                                         |
| stall           | sends the head and the beginning of an answer, then nothing                                   |
| cut-<n>         | breaks the connection after n tokens of a stream, or in the middle of a whole answer          |
| fail-<status>   | an error answer (400 to 599); 429 comes with retry-after: 1                                   |
| no-usage        | as echo, without usage                                                                        |
| tool            | calls the first tool with arguments that fit its schema; echoes when there is none to call or |
|                 | when a tool has just answered                                                                 |
| json            | JSON by the schema of response_format, else {"echo": ...}                                     |
| length          | as echo, but says that the token limit ended it                                               |
| refuse          | declines                                                                                      |
| think           | reasons, then echoes                                                                          |

One token is one started run of four characters, of each text by itself; a message part that is no text is one token.
So a prompt never has more tokens than its body has bytes. Every answer is cut to max_tokens, max_completion_tokens and
100,000 tokens.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Annotated, Any

import msgspec

from dominion.providers.schema_example import example
from dominion.providers.stub_answer import Answer, Part, count, cut, error, stream, whole

_MODEL = re.compile(
    r"(?:stub/)?(?:(?P<plain>stub|echo|hang|stall|no-usage|tool|json|length|refuse|think)"
    r"|(?P<kind>answer|slow|drip|cut|fail)-(?P<first>[0-9]{1,6})(?:x(?P<second>[0-9]{1,6}))?)"
)
_MOST_TOKENS = 100_000
_LONGEST_WAIT_MS = 600_000
_LIMITS = {  # of the first number and of the second
    "answer": (range(_MOST_TOKENS + 1), None),
    "cut": (range(_MOST_TOKENS + 1), None),
    "slow": (range(_LONGEST_WAIT_MS + 1), None),
    "drip": (range(_MOST_TOKENS + 1), range(_LONGEST_WAIT_MS + 1)),
    "fail": (range(400, 600), None),
}
_BEYOND_THE_CUT = 8
_TOO_MANY_REQUESTS = 429


class Head(msgspec.Struct, frozen=True):
    """Status and headers of the answer; names in lower case."""

    status: int
    headers: dict[bytes, bytes]


class Bytes(msgspec.Struct, frozen=True):
    """A piece of the body."""

    data: bytes


class Wait(msgspec.Struct, frozen=True):
    """Time passes."""

    seconds: float


class Stall(msgspec.Struct, frozen=True):
    """Nothing more ever comes."""


class Reset(msgspec.Struct, frozen=True):
    """The connection breaks."""


class End(msgspec.Struct, frozen=True):
    """The body is complete."""


Step = Head | Bytes | Wait | Stall | Reset | End


class StubModel(msgspec.Struct, frozen=True):
    """A stub model by name: its kind, and its numbers where it has them."""

    kind: str
    first: int = 0
    second: int = 0


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None

    def texts(self) -> list[str]:
        """Every text of the message; a part that is no text counts as one character."""
        if isinstance(self.content, list):
            return [str(part.get("text") or ".") for part in self.content]
        return [self.content] if self.content else []


_Cap = Annotated[int, msgspec.Meta(ge=0)]


class _Request(msgspec.Struct, frozen=True):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: _Cap | None = None
    max_completion_tokens: _Cap | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=16)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: Any = None


def is_stub_model(name: str) -> bool:
    """Whether the stub has this model, with or without "stub/" before it."""
    return read_name(name) is not None


def plan(body: bytes) -> Iterator[Step]:
    """The steps that answer a request, made one by one as they are played; the same body gives the same steps.

    Never raises: what is wrong with the request is answered as an OpenAI error, 400, or 404 for an unknown model.
    """
    try:
        request = msgspec.json.decode(body, type=_Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        return failure(400, f"The stub cannot read the request: {problem}")
    ask = read_name(request.model)
    if ask is None:
        return failure(404, f"The stub has no model {request.model[:100]!r}.")
    if ask.kind == "fail":
        return failure(ask.first, f"The stub fails with status {ask.first}, as its model name asks.")
    answer = _answer(ask, request, f"chatcmpl-stub-{blake2b(body, digest_size=8).hexdigest()}")
    if request.stream:
        return _streamed(ask, answer, include_usage=bool((request.stream_options or {}).get("include_usage")))
    return at_once(ask, whole(answer))


def read_name(name: str) -> StubModel | None:
    """The model of this name; None: the stub has none."""
    found = _MODEL.fullmatch(name)
    if found is None:
        return None
    if found["plain"]:
        return StubModel("echo" if found["plain"] == "stub" else found["plain"])
    ask = StubModel(found["kind"], int(found["first"]), int(found["second"] or 0))
    firsts, seconds = _LIMITS[ask.kind]
    has_second = found["second"] is not None
    fits = ask.first in firsts and has_second == bool(seconds) and (not seconds or ask.second in seconds)
    return ask if fits else None


def _answer(ask: StubModel, request: _Request, answer_id: str) -> Answer:
    tool = _tool_to_call(request) if ask.kind == "tool" else None
    parts = _parts(ask, request, tool)
    caps = (request.max_tokens, request.max_completion_tokens, _MOST_TOKENS)
    kept = cut(parts, min(cap for cap in caps if cap is not None))
    finish = "stop" if tool is None else "tool_calls"
    return Answer(
        id=answer_id,
        model=request.model,
        parts=kept,
        finish="length" if kept is not parts or ask.kind == "length" else finish,
        prompt_tokens=_prompt_tokens(request),
        tool="" if tool is None else str(tool.get("name")),
        choices=request.n or 1,
        says_usage=ask.kind != "no-usage",
    )


def _parts(  # noqa: PLR0911 - one for each kind
    ask: StubModel, request: _Request, tool: dict[str, Any] | None
) -> tuple[Part, ...]:
    said = _last_said(request)
    echo = Part("content", f"Stub answer (no model was asked). You said: {said}" if said else "You said nothing.")
    if tool is not None:
        return (Part("arguments", msgspec.json.encode(example(tool.get("parameters")) or {}).decode()),)
    match ask.kind:
        case "answer" | "drip":
            return (Part("content", _numbered(ask.first)),)
        case "cut":
            return (Part("content", _numbered(ask.first + _BEYOND_THE_CUT)),)
        case "json":
            return (Part("content", _json(request, said)),)
        case "refuse":
            return (Part("refusal", "The stub declines, as its model name asks."),)
        case "think":
            return (Part("reasoning_content", "The user said something. It is to be repeated."), echo)
    return (echo,)


def _numbered(tokens: int) -> str:
    """Text of exactly this many tokens, whose order can be checked: "000 001 002 "."""
    return "".join(f"{number % 1000:03d} " for number in range(tokens))


def _json(request: _Request, said: str) -> str:
    wanted = request.response_format
    schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
    schema = schema.get("schema") if isinstance(schema, dict) else None
    return msgspec.json.encode({"echo": said} if schema is None else example(schema)).decode()


def _last_said(request: _Request) -> str:
    users = [message for message in request.messages if message.role == "user"]
    return " ".join(users[-1].texts()) if users else ""


def _tool_to_call(request: _Request) -> dict[str, Any] | None:
    """The first tool, or the one that tool_choice names; None when no tool is to be called (now)."""
    functions = [tool["function"] for tool in request.tools or () if isinstance(tool.get("function"), dict)]
    chosen = request.tool_choice
    if isinstance(chosen, dict) and isinstance(chosen.get("function"), dict):
        functions = [each for each in functions if each.get("name") == chosen["function"].get("name")]
    answered = bool(request.messages) and request.messages[-1].role == "tool"
    return None if answered or chosen == "none" or not functions else functions[0]


def _prompt_tokens(request: _Request) -> int:
    texts = [text for message in request.messages for text in message.texts()]
    called = [call.get("function") for message in request.messages for call in message.tool_calls or ()]
    texts += [str(function.get("arguments", "")) for function in called if isinstance(function, dict)]
    return sum(map(count, texts))


def failure(status: int, message: str) -> Iterator[Step]:
    """The steps of an error."""
    data = error(status, message)
    headers = {b"content-type": b"application/json", b"content-length": b"%d" % len(data)}
    if status == _TOO_MANY_REQUESTS:
        headers[b"retry-after"] = b"1"
    yield Head(status, headers)
    yield Bytes(data)
    yield End()


def at_once(ask: StubModel, data: bytes) -> Iterator[Step]:
    """The steps of a whole answer, as its model gives it."""
    if ask.kind == "hang":
        yield Stall()
    if ask.kind in ("slow", "drip"):
        yield Wait(ask.first * (ask.second if ask.kind == "drip" else 1) / 1000)
    yield Head(200, {b"content-type": b"application/json", b"content-length": b"%d" % len(data)})
    yield Bytes(data[: len(data) // 2] if ask.kind in ("cut", "stall") else data)
    yield _ending(ask)


def _streamed(ask: StubModel, answer: Answer, *, include_usage: bool) -> Iterator[Step]:
    if ask.kind == "hang":
        yield Stall()
    if ask.kind == "slow":
        yield Wait(ask.first / 1000)
    yield Head(200, {b"content-type": b"text/event-stream"})
    sent, last = 0, {"cut": ask.first, "stall": 1}.get(ask.kind)
    for tokens, frame in stream(answer, include_usage=include_usage):
        if sent == last:
            break
        if ask.kind == "drip" and tokens:
            yield Wait(ask.second / 1000)
        yield Bytes(frame)
        sent += tokens
    yield _ending(ask)


def _ending(ask: StubModel) -> Step:
    match ask.kind:
        case "cut":
            return Reset()
        case "stall":
            return Stall()
    return End()
