"""`login` and `logout`: a key is tried, kept privately, never shown, and forgotten."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from dominion.client.stored_login import StoredLogin
from tests.cli.conftest import Run
from tests.cli.test_whoami import QUOTA
from tests.client.scripted import Scripted, said

KEY = "dom_0123_verysecret"
QUOTA_ROUTE = "GET /v1/llm/quota"


@pytest.fixture
def home(folder: Path) -> Path:
    """Where logins are kept."""
    return folder.parent / "home" / ".config" / "dominion"


@pytest.mark.promise("001-056")
def test_a_piped_key_is_tried_kept_and_used_by_what_comes_after(run: Run, server: Scripted, home: Path) -> None:
    server.answers[QUOTA_ROUTE] = said(QUOTA)
    result = run("login", "--url", f"{server.url}/", stdin=f"{KEY}\n")
    assert result.exit_code == 0, result.stderr
    assert "Ada (abc123)" in result.stdout
    assert "verysecret" not in result.output
    assert (home / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert StoredLogin.load(home) == StoredLogin(server.url, KEY)
    assert run("whoami").stdout.startswith("User ID: abc123\n")
    assert [asked.headers["authorization"] for asked in server.asked] == [f"Bearer {KEY}"] * 2


def test_a_key_on_the_command_line_works_and_json_does_not_show_it(run: Run, server: Scripted, home: Path) -> None:
    server.answers[QUOTA_ROUTE] = said(QUOTA)
    result = run("login", "--token", KEY, "--json", DOMINION_API_URL=server.url)
    shown = {"url": server.url, "user_id": "abc123", "name": "Ada", "file": str(home / "credentials.json")}
    assert json.loads(result.stdout) == shown


def test_logins_follow_xdg(run: Run, server: Scripted, tmp_path: Path) -> None:
    server.answers[QUOTA_ROUTE] = said(QUOTA)
    run("login", "--url", server.url, stdin=KEY, XDG_CONFIG_HOME=str(tmp_path / "xdg"))
    assert StoredLogin.load(tmp_path / "xdg" / "dominion") == StoredLogin(server.url, KEY)


def test_a_refused_key_is_not_kept_and_the_earlier_one_stays(run: Run, server: Scripted, home: Path) -> None:
    earlier = StoredLogin(server.url, "dom_1_earlier")
    earlier.save(home)
    server.answers[QUOTA_ROUTE] = said({"error": "invalid_api_key", "message": "Wrong key."}, 401)
    result = run("login", "--url", server.url, stdin=KEY)
    assert result.exit_code == 3
    assert "Wrong key." in result.stderr
    assert "verysecret" not in result.output
    assert StoredLogin.load(home) == earlier


@pytest.mark.parametrize("body", [{}, {"user_id": 5}, []])
def test_a_server_that_is_no_gateway_is_told_and_nothing_is_kept(
    run: Run, server: Scripted, home: Path, body: object
) -> None:
    server.answers[QUOTA_ROUTE] = said(body)
    result = run("login", "--url", server.url, stdin=KEY)
    assert result.exit_code == 1
    assert "Dominion gateway" in result.stderr
    assert StoredLogin.load(home) is None


def test_a_key_of_a_provider_is_not_sent_to_the_gateway(run: Run, server: Scripted) -> None:
    result = run("login", "--url", server.url, stdin="sk-proj-somebody")
    assert result.exit_code == 2
    assert "sk-proj" not in result.output
    assert server.asked == []


def test_a_key_that_an_environment_variable_overrules_is_told(run: Run, server: Scripted) -> None:
    server.answers[QUOTA_ROUTE] = said(QUOTA)
    result = run("login", "--url", server.url, stdin=KEY, DOMINION_API_TOKEN="dom_2_other")
    assert "DOMINION_API_TOKEN is set and is used instead" in result.stderr


def test_logging_out_forgets_and_says_whether_there_was_anything(run: Run, home: Path) -> None:
    StoredLogin("http://127.0.0.1:9", KEY).save(home)
    assert run("logout").stdout == "Logged out.\n"
    assert not (home / "credentials.json").exists()
    assert run("logout").stdout == "You were not logged in.\n"
    assert json.loads(run("logout", "--json").stdout) == {"logged_out": False}


def test_a_typed_key_does_not_appear_on_the_terminal(folder: Path, server: Scripted, home: Path) -> None:
    server.answers[QUOTA_ROUTE] = said(QUOTA)
    terminal, inside = pty.openpty()
    environ = {**os.environ, "HOME": str(folder.parent / "home"), "DOMINION_API_URL": server.url}
    command = [sys.executable, "-c", "from dominion.cli.main import main; main()", "login"]
    with subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, env=environ, cwd=folder, start_new_session=True
    ) as program:
        os.close(inside)
        shown = b""
        while b"not shown" not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, f"{KEY}\n".encode())
        try:
            while piece := os.read(terminal, 1024):
                shown += piece
        except OSError:  # how Linux says that the other end of a terminal is closed
            pass
    os.close(terminal)
    assert program.returncode == 0, shown
    assert b"Ada (abc123)" in shown
    assert b"verysecret" not in shown
    assert StoredLogin.load(home) == StoredLogin(server.url, KEY)
