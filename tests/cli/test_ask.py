"""`ask`: a question from words or a pipe, the answer as it comes, and a clean end by Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Scripted, events, said

COMPLETE = "POST /v1/llm/complete"
USAGE = {"promptTokens": 1, "completionTokens": 2, "totalTokens": 3}
DONE = {"type": "done", "id": "x", "model": "gpt-4o-mini", "finish_reason": "stop", "usage": USAGE}
MAIN = (sys.executable, "-c", "from dominion.cli.main import main; main()")


def gateway(server: Scripted) -> dict[str, str]:
    return {"DOMINION_API_URL": server.url, "DOMINION_API_TOKEN": "dom_1_s"}


def test_the_answer_is_streamed_and_ends_its_line(run: Run, server: Scripted) -> None:
    server.answers[COMPLETE] = events({"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}, DONE, "[DONE]")
    result = run(
        "ask", "--model", "gpt-4o-mini", "--provider", "openai", "--max-tokens", "9", "say", "hi", **gateway(server)
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Hello\n", "")
    assert server.asked[0].json() == {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "say hi"}],
        "max_tokens": 9,
        "stream": True,
    }


def test_piped_text_is_the_question_or_comes_after_the_words(run: Run, server: Scripted) -> None:
    server.answers[COMPLETE] = events(DONE, "[DONE]")
    run("ask", stdin="What is this?\n", **gateway(server))
    run("ask", "--system", "Be short.", "Summarise:", stdin="a long report", **gateway(server))
    assert [asked.json()["messages"] for asked in server.asked] == [
        [{"role": "user", "content": "What is this?"}],
        [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Summarise:\n\na long report"}],
    ]


def test_without_a_question_or_with_one_that_is_no_text_it_is_wrong_usage(run: Run) -> None:
    assert run("ask").exit_code == 2
    result = run("ask", stdin=b"\xff\xfe")
    assert result.exit_code == 2
    assert "UTF-8" in result.stderr


def test_json_gives_the_whole_answer_with_usage_and_cost(run: Run, server: Scripted) -> None:
    answer = {"id": "x", "model": "gpt-4o-mini", "content": "Hello", "finish_reason": "stop", "usage": USAGE}
    server.answers[COMPLETE] = said(answer, headers={"x-dominion-cost-usd": "0.000001000"})
    shown = json.loads(run("ask", "--json", "hi", **gateway(server)).stdout)
    assert {name: shown[name] for name in ("content", "usage", "cost_usd")} == {
        "content": "Hello",
        "usage": USAGE,
        "cost_usd": "0.000001000",
    }
    assert server.asked[0].json()["stream"] is False


def test_no_stream_waits_for_the_whole_answer(run: Run, server: Scripted) -> None:
    server.answers[COMPLETE] = said({"id": "x", "model": "m", "content": "Hello", "finish_reason": "length"})
    result = run("ask", "--no-stream", "hi", **gateway(server))
    assert result.stdout == "Hello\n"
    assert "was cut" in result.stderr


def test_an_error_inside_the_answer_ends_its_line_and_the_command(run: Run, server: Scripted) -> None:
    failed = {"type": "error", "error": "provider_unavailable", "message": "OpenAI is overloaded."}
    server.answers[COMPLETE] = events({"type": "text", "text": "Hel"}, failed, "[DONE]")
    result = run("ask", "hi", **gateway(server))
    assert (result.exit_code, result.stdout) == (1, "Hel\n")
    assert result.stderr.startswith("Error: OpenAI is overloaded.")


@pytest.mark.promise("000-037")
def test_without_any_set_up_the_stub_answers_and_says_so(run: Run) -> None:
    result = run("ask", "hello", "there")
    assert result.exit_code == 0
    assert result.stdout.endswith("hello there\n")
    assert "the stub answers" in result.stderr


def test_the_configuration_of_the_folder_is_used_and_its_mistakes_stop_the_command(run: Run, folder: Path) -> None:
    (folder / "pm.config.yaml").write_text("provider:\n  default: stub\n  stub: {model: answer-2}\n")
    assert run("ask", "hi").exit_code == 0
    (folder / "pm.config.yaml").write_text("provider:\n  defualt: stub\n")
    result = run("ask", "hi")
    assert result.exit_code == 1
    assert "pm.config.yaml:2: unknown key provider.defualt; did you mean provider.default?" in result.stderr


def test_ctrl_c_in_the_middle_of_an_answer_ends_with_130_and_no_traceback(folder: Path) -> None:
    environ = {**os.environ, "HOME": str(folder.parent)}
    command = [*MAIN, "ask", "--model", "drip-100000x20", "hi"]
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.read(8)
        program.send_signal(signal.SIGINT)
        rest, complaints = program.communicate(timeout=20)
    assert program.returncode == 130
    assert rest.endswith(b"\n")
    assert b"Traceback" not in complaints


def test_a_reader_that_has_enough_ends_the_command_quietly(folder: Path) -> None:
    environ = {**os.environ, "HOME": str(folder.parent)}
    command = [*MAIN, "ask", "--model", "drip-100000x1", "hi"]
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.read(8)
        program.stdout.close()
        complaints = program.stderr.read()
    assert program.returncode == 1
    assert b"Traceback" not in complaints
