"""What is installed is pinned, hashed, consistent, and comes from whatever index the machine is set up for."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.house.source import ROOT

PIN = re.compile(r"^([a-z0-9.-]+)==([^ ;]+)[^\n]*\\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE)
FILES = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, str]:
    """Names and versions of a file of pins."""
    return dict(PIN.findall((ROOT / "requirements" / name).read_text(encoding="utf-8")))


def asked_for(lines: list[str]) -> set[str]:
    """The names in a list of requirements."""
    return {re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0].replace("_", "-").lower() for line in lines}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_line_is_a_pin_with_its_hashes_and_names_no_index(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert PIN.search(text)
    assert PIN.sub("", text) == ""


@pytest.mark.parametrize("name", ["run.txt", "build.txt"])
def test_what_runs_is_pinned_alike_for_development(name: str) -> None:
    assert pins(name).items() <= pins("dev.txt").items()


def test_the_local_model_adds_to_what_runs_and_changes_nothing() -> None:
    assert pins("run.txt").items() <= pins("local.txt").items()


def test_everything_that_the_project_asks_for_is_pinned() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    assert asked_for(project["dependencies"]) <= pins("run.txt").keys()
    assert asked_for(project["optional-dependencies"]["local"]) <= pins("local.txt").keys()
    assert asked_for(groups["build"]) <= pins("build.txt").keys()
    assert asked_for([line for line in groups["dev"] if isinstance(line, str)]) <= pins("dev.txt").keys()


def test_both_generations_of_the_anthropic_sdk_are_pinned() -> None:
    assert pins("dev.txt")["anthropic"].startswith("2.")
    assert pins("anthropic-0.txt")["anthropic"].startswith("0.")
