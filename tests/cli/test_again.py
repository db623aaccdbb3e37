"""`ask` once more: after a rate limit by itself, with another model when the person at the terminal agrees."""

import os
import pty
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dominion.cli.caller.again import again
from dominion.domain.errors import DominionError, ProviderRateLimited
from tests.cli.conftest import Run
from tests.cli.test_ask import COMPLETE, MAIN, gateway
from tests.client.scripted import Scripted, said

PROPOSED = {
    "error": "switch_proposed",
    "message": "OpenAI is unavailable right now. Switch to Claude? This will cost ~$0.05 more per run.",
    "action": "Send it again with the header x-dominion-accept: anthropic/claude",
    "proposed_model": "anthropic/claude",
    "more_input_usd_per_million": "0.5",
    "more_output_usd_per_million": "5",
    "more_request_usd": "0.050000000",
}
LIMITED = {"error": "provider_rate_limited", "message": "OpenAI rate limit hit. It says: slow down"}
ANSWER = {"id": "x", "model": "claude", "content": "Hello", "finish_reason": "stop"}


def scripts(*errors: DominionError) -> Callable[[str | None], Awaitable[str]]:
    """Raises these in turn, then answers."""
    left = list(errors)

    async def ask(_accept: str | None) -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return ask


@pytest.mark.promise("003-165")
async def test_a_rate_limit_is_waited_for_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    limits = [ProviderRateLimited("OpenAI rate limit hit. It says: slow", retry_after=wait) for wait in (30.0, 0.4)]
    assert await again(scripts(*limits), None, sleep) == "answer"
    assert slept == [30.0, 0.4]
    assert capsys.readouterr().err.splitlines() == [
        "OpenAI rate limit hit. Retrying in 30 seconds...",
        "OpenAI rate limit hit. Retrying in 1 second...",
    ]


@pytest.mark.parametrize("waits", [(None,), (61.0,), (1.0, 1.0, 1.0, 1.0)])
async def test_nobody_is_made_to_wait_for_ever(waits: tuple[float | None, ...]) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    limits = [ProviderRateLimited("limit", retry_after=wait) for wait in waits]
    with pytest.raises(ProviderRateLimited):
        await again(scripts(*limits), None, sleep)
    assert len(slept) == len(waits) - 1


def test_without_a_terminal_a_switch_is_refused_with_its_sentence_and_an_exit_code(run: Run, server: Scripted) -> None:
    server.answers[COMPLETE] = said(PROPOSED, 409)
    result = run("ask", "--ask-first", "hi", **gateway(server))
    assert (result.exit_code, result.stdout) == (6, "")
    assert result.stderr.splitlines()[:2] == [f"Error: {PROPOSED['message']}", PROPOSED["action"]]
    assert [asked.headers.get("x-dominion-ask") for asked in server.asked] == ["true"]


def test_a_script_agrees_beforehand(run: Run, server: Scripted) -> None:
    server.answers[COMPLETE] = said(ANSWER)
    result = run("ask", "--no-stream", "--accept", "anthropic/claude", "hi", **gateway(server))
    assert (result.exit_code, result.stdout) == (0, "Hello\n")
    assert server.asked[0].headers["x-dominion-accept"] == "anthropic/claude"
    assert "x-dominion-ask" not in server.asked[0].headers


@pytest.mark.promise("003-132", "003-179")
@pytest.mark.parametrize(("reply", "code", "asked"), [("y\n", 0, 2), ("n\n", 6, 1), ("\n", 6, 1)])
def test_a_person_is_asked_and_what_they_agree_to_runs(
    folder: Path, server: Scripted, reply: str, code: int, asked: int
) -> None:
    server.answers[COMPLETE] = said(PROPOSED, 409)
    terminal, inside = pty.openpty()
    command = [*MAIN, "ask", "--no-stream", "hi"]
    environ = {**os.environ, "HOME": str(folder.parent), **gateway(server)}
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdin=inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        os.close(inside)
        assert program.stderr is not None
        question = program.stderr.read(len(PROPOSED["message"]))
        server.answers[COMPLETE] = said(ANSWER)
        os.write(terminal, reply.encode())
        answer, _ = program.communicate(timeout=20)
    os.close(terminal)
    assert question == PROPOSED["message"]
    assert (program.returncode, answer) == (code, "Hello\n" if code == 0 else "")
    assert len(server.asked) == asked
    if asked > 1:
        assert server.asked[1].headers["x-dominion-accept"] == "anthropic/claude"
