"""A dialect of an installed package: found by its entry point, loaded only when configured, refused with a reason."""

import asyncio
import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators.listening import Asked, Listening
from tests.emulators.natives import say
from tests.whole.heard import ANTHROPIC, OPENAI, Heard, heard
from tests.whole.program import ADMIN_TOKEN, Answer, Program

DIALECT = '''
"""Acme's API: one prompt in, one reply out, lines of JSON when it streams."""

import json

from dominion.domain.errors import ProviderUnavailable
from dominion.domain.messages import Answer, Finished, Metered, Started, Text, TextDelta
from dominion.domain.usage import Usage
from dominion.wire.openai_chat.dialect import OpenAIChat
from dominion.domain.contracts import Written


class Reader:
    def __init__(self):
        self.held = b""

    def feed(self, chunk):
        *lines, self.held = (self.held + chunk).split(b"\\n")
        return [event for line in lines for event in read(json.loads(line))]

    def end(self):
        return []


def read(told):
    if "word" in told:
        return [TextDelta(0, told["word"])]
    if "in" in told:
        return [Finished("stop"), Metered(Usage(told["in"], told["out"]))]
    return [Started(told["id"], "acme-1")]


class Acme(OpenAIChat):
    """What it does not do otherwise is as in OpenAI's chat: the errors, and all that only doors need."""

    speaks = "acme"
    stream_type = b"application/x-ndjson"

    def write_request(self, request, *, model, output_cap):
        said = [part.text for turn in request.messages for part in turn.parts if isinstance(part, Text)]
        body = {"engine": model, "prompt": " | ".join(said), "stream": request.stream, "longest": output_cap}
        return Written(json.dumps(body).encode(), ("tools",) if request.tools else ())

    def read_answer(self, body):
        told = json.loads(body)
        return Answer(told["id"], "acme-1", (Text(told["reply"]),), "stop", Usage(told["in"], told["out"]))

    def reader(self):
        return Reader()


ACME = Acme("acme")
NAMELESS = Acme("another")
'''
TOML = """
[[providers.openai_compat]]
id = "acme"
api_key = "acme-canary"
base_url = "{url}"
chat_path = "/talk"
wire = "{wire}"
credentials = "header_key"
model = "acme-large"
"""


async def acme(asked: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The provider."""
    body = json.loads(asked.body)
    if (asked.path, asked.headers.get("x-api-key"), body["engine"]) != ("/talk", "acme-canary", "acme-large"):
        await say(writer, 400, b"application/json", b'{"error":{"message":"not so"}}')
    elif body["stream"]:
        words = [{"id": "a1"}, *({"word": word} for word in ("You said: ", body["prompt"])), {"in": 7, "out": 3}]
        await say(writer, 200, b"application/x-ndjson", *(json.dumps(word).encode() + b"\n" for word in words))
    else:
        told = {"id": "a1", "reply": f"You said: {body['prompt']}", "in": 7, "out": 3}
        await say(writer, 200, b"application/json", json.dumps(told).encode())


def install(folder: Path, package: str, code: str, **entries: str) -> None:
    """What an installer leaves behind: a module, and the metadata of its distribution."""
    (folder / f"{package}.py").write_text(textwrap.dedent(code))
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n")
    lines = [f"{name} = {package}:{value}" for name, value in entries.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[dominion.dialects]", *lines, ""]))


@pytest.fixture
def url() -> Iterator[str]:
    with Listening(acme) as at:
        yield at.urls[0]


def started(folder: Path, toml: str) -> Program:
    """The program with the packages of a folder."""
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))
    return Program(folder / "house", toml=toml, UNPRICED="allow", PYTHONPATH=path)


@pytest.mark.promise("003-092", "003-226", "003-235", "004-108")
def test_a_dialect_of_a_package_answers_at_every_door(tmp_path: Path, url: str) -> None:
    install(tmp_path, "acme_dialect", DIALECT, acme="ACME")
    install(tmp_path, "broken_dialect", "raise RuntimeError('never imported')", other="X")
    assert len(DIALECT.splitlines()) < 70
    with started(tmp_path, TOML.format(url=url, wire="acme")) as program:
        user_id, key = program.user()

        def ask(door: str, *, stream: bool) -> Answer:
            asked = [{"role": "user", "content": "Hello!"}]
            body = {"model": "acme/acme-large", "messages": asked, "max_tokens": 50, "stream": stream}
            return program.ask("POST", door, body, token=key)

        for door in (OPENAI, ANTHROPIC):
            for stream in (False, True):
                answer = ask(door, stream=stream)
                assert heard(door, answer, stream=stream) == Heard(200, "You said: Hello!", "", ended=True)
        (row,) = program.admin("GET", f"/admin/usage?user_id={user_id}")["rows"]
        assert (row["requests"], row["input_tokens"], row["output_tokens"]) == (4, 28, 12)
        registered = {"id": "acme2", "base_url": url, "chat_path": "/talk", "wire": "nothing-like-it"}
        assert program.ask("POST", "/admin/providers", registered, token=ADMIN_TOKEN).status == 400


@pytest.mark.parametrize(
    ("wire", "entries", "said"),
    [
        ("acmee", {"acme": "ACME"}, ('There is no dialect "acmee"', "openai_chat", 'the group "dominion.dialects"')),
        ("acme", {"acme": "MISSING"}, ('The dialect "acme" of the package acme-dialect cannot be loaded', "MISSING")),
        ("acme", {"acme": "Acme"}, ("is a class, not an object",)),
        ("acme", {"acme": "Reader"}, ("is a class",)),
        ("acme", {"acme": "json"}, ("lacks ", "write_request")),
        ("acme", {"acme": "NAMELESS"}, ('calls itself "another"',)),
    ],
)
def test_a_dialect_that_cannot_be_used_stops_the_start_with_the_reason(
    tmp_path: Path, wire: str, entries: dict[str, str], said: tuple[str, ...]
) -> None:
    install(tmp_path, "acme_dialect", DIALECT, **entries)
    message = refused(tmp_path, wire)
    assert all(word in message for word in said), message
    assert "Traceback" not in message


def test_a_dialect_that_two_packages_bring_stops_the_start(tmp_path: Path) -> None:
    install(tmp_path, "acme_dialect", DIALECT, acme="ACME")
    install(tmp_path, "acme_other", DIALECT, acme="ACME")
    assert "the package acme-dialect and the package acme-other" in refused(tmp_path, "acme")


def test_a_package_that_fails_to_import_stops_the_start(tmp_path: Path) -> None:
    install(tmp_path, "acme_dialect", "raise RuntimeError('no licence')", acme="ACME")
    assert "RuntimeError: no licence" in refused(tmp_path, "acme")


def refused(folder: Path, wire: str) -> str:
    """What the program says when it does not start."""
    with pytest.raises(AssertionError) as caught:
        started(folder, TOML.format(url="http://127.0.0.1:9", wire=wire)).start()
    return str(caught.value)
