"""The program itself: its list of commands, help, suggestions, and what it does not load."""

import importlib
import subprocess
import sys

import click
import pytest

from dominion import __version__
from dominion.cli.main import COMMANDS, cli
from tests.cli.conftest import Run


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            found += [(name, child) for child in command.list_commands(click.Context(command))]
        else:
            found.append((name,))
    return found


def test_the_list_of_commands_names_each_with_its_line(run: Run) -> None:
    shown = run("--help").stdout
    for name, place in COMMANDS.items():
        assert f"  {name}" in shown
        assert place.help in shown
    assert run("--version").stdout == f"dominion {__version__}\n"


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_has_help_with_an_example_that_works_and_json(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout
    examples = result.stdout.partition("Examples:\n")[2].splitlines()
    assert any(line.startswith(f"  dominion {' '.join(words)}") for line in examples)


def test_the_name_that_is_shown_is_the_one_it_was_called_by() -> None:
    context = click.Context(cli, info_name="dominion-pm")
    command = cli.get_command(context, "whoami")
    assert command is not None
    shown = command.get_help(click.Context(command, context, "whoami"))
    assert "Usage: dominion-pm whoami" in shown
    assert shown.endswith("\n  dominion-pm whoami --json")


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("whomai",), "whoami"),
        (("limts", "show", "x"), "limits"),
        (("keys", "creat", "x"), "create"),
        (("ask", "--modle", "x"), "--model"),
    ],
)
def test_a_mistyped_word_gets_the_nearest_one_and_exit_code_2(run: Run, words: tuple[str, ...], nearest: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert f"'{nearest}'" in result.stderr


def test_the_list_of_commands_loads_neither_client_nor_server() -> None:
    script = (
        "import sys; from dominion.cli.main import cli\n"
        "try: cli(['--help'], prog_name='dominion')\n"
        "except SystemExit: pass\n"
        "print(*(name for name in ('httpx2', 'rich', 'yaml', 'sqlalchemy', 'uvicorn') if name in sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == ""


def test_serving_loads_neither_the_client_nor_the_tables() -> None:
    script = (
        "import sys, dominion.cli.machine.serve; print(*(name for name in ('httpx2', 'rich') if name in sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.split() == []


def test_every_place_of_the_table_holds_a_command() -> None:
    for place in COMMANDS.values():
        assert isinstance(
            getattr(importlib.import_module(f"dominion.cli.{place.module}"), place.attribute), click.Command
        )
