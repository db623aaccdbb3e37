"""Nothing that a caller says, is answered or signs in with stays in the data folder or in the log, at any log level."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.scripted import Scripted, events, said, scripted
from tests.whole.program import Program

PROMPT, ANSWER = "canary-prompt-7f3a", "canary-answer-9c1e"
OPENAI_KEY = "sk-canary-provider-0123456789abcdef"
ADMIN_TOKEN = "adm_canary_admin_0123456789abcdef"
CHAT = "POST /v1/chat/completions"
DOORS = ("/v1/llm/complete", "/v1/chat/completions", "/v1/messages")


@pytest.fixture
def provider() -> Iterator[Scripted]:
    with scripted({}) as running:
        yield running


def whole(text: str) -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def delta(text: str) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def talk(program: Program, provider: Scripted, key: str) -> None:
    """Every way in which a prompt goes in and an answer, or an error that quotes both, comes back."""
    turns = [{"role": "system", "content": PROMPT}, {"role": "user", "content": PROMPT}]
    for status in (200, 400, 401, 429, 500):
        error = {"error": {"message": f"You said {PROMPT}, I say {ANSWER}.", "type": "invalid_request_error"}}
        provider.answers[CHAT] = said(whole(ANSWER)) if status == 200 else said(error, status)
        for door in DOORS:
            asked = {"model": "gpt-4o", "messages": turns[1:], "max_tokens": 50}
            answer = program.ask("POST", door, asked, token=key)
            assert (answer.status == 200) == (status == 200)
            assert (ANSWER in answer.body.decode()) == (status in (200, 400, 429, 500))
    for last in ("[DONE]", {"error": {"message": f"I cannot say {PROMPT} {ANSWER}"}}, f'{{"{PROMPT} {ANSWER}', None):
        for door in DOORS:
            heard = threading.Event()  # what breaks in the first packet would never have begun
            end = delta(ANSWER) if last is None else last
            provider.answers[CHAT] = events(delta(ANSWER), end, broken=last is None, heard=heard)
            asked = {"model": "gpt-4o", "messages": turns[1:], "max_tokens": 50, "stream": True}
            connection = program.connect()
            connection.request("POST", door, json.dumps(asked), {"authorization": f"Bearer {key}"})
            begun = connection.getresponse()
            heard.set()
            assert begun.status == 200
            assert ANSWER in begun.read().decode()
            connection.close()
    provider.answers[CHAT] = said(ANSWER)  # not the dialect
    assert program.chat(key, "gpt-4o", PROMPT).status == 502
    for body in (f'{{"messages": "{PROMPT}"'.encode(), {PROMPT: 1}, {"model": PROMPT, "messages": turns}):
        assert 400 <= program.ask("POST", "/v1/llm/complete", body, token=key).status < 500


@pytest.mark.promise("001-061", "001-062", "001-063", "000-012")
def test_prompts_answers_and_keys_are_neither_stored_nor_logged(folder: Path, provider: Scripted) -> None:
    program = Program(
        folder,
        LOG_LEVEL="debug",
        ADMIN_TOKEN=ADMIN_TOKEN,
        OPENAI_API_KEY=OPENAI_KEY,
        OPENAI_BASE_URL=provider.url,
    )
    program.admin_token = ADMIN_TOKEN
    with program:
        user_id, key = program.user()
        talk(program, provider, key)
        assert program.ask("GET", "/v1/llm/quota", token=f"{key}-canary-wrong").status == 401
        assert program.ask("GET", "/admin/users", token="canary-guess").status == 401
        assert program.usage(user_id)["requests"] > 0
        program.kill()  # with the journal and the database's own log still on the disk
    assert PROMPT.encode() in provider.asked[0].body  # it did travel
    log = "".join(program.lines)
    assert f"user.created of user:{user_id}" in log  # it does talk
    kept = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    places = {Path(name).parts[1] for name, content in kept.items() if user_id.encode() in content}
    assert {"journal", "gateway.db-wal"} <= places  # they do keep what was used
    secret = key.split("_", 2)[2]
    for place, content in (kept | {"the log": log.encode()}).items():
        for canary in (PROMPT, ANSWER, "canary", secret, ADMIN_TOKEN, OPENAI_KEY):
            assert canary.encode() not in content, (place, canary)
