"""The commands in this process, in surroundings made for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dominion.cli.main import cli
from tests.client.scripted import Scripted, scripted

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; home is beside it, and nothing of the machine's own settings is left."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "DOMINION_API_URL", "DOMINION_API_TOKEN", "ADMIN_TOKEN", "DOMINION_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_OAUTH_TOKEN", "DOMINION_CONFIG", "SQLITE_PATH"):
        monkeypatch.delenv(name, raising=False)
    return work


@pytest.fixture
def run(folder: Path) -> Run:  # noqa: ARG001 - commands run in it
    """Run a command line; keyword arguments are environment variables, `stdin` is piped in."""

    def invoke(*words: str, stdin: str | bytes | None = None, **environ: str) -> Result:
        return CliRunner().invoke(cli, words, input=stdin, env=environ, prog_name="dominion", catch_exceptions=False)

    return invoke


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A server that answers what a test tells it to."""
    with scripted({}) as running:
        yield running
