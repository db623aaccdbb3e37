"""What the documents say is true: words of make, settings, files, dependencies, versions."""

import re
import tomllib
from pathlib import Path

import pytest

from dominion.config import SETTINGS, load
from tests.house.source import ROOT, repository_files, shown
from tools.settings_pages import EXAMPLE, PAGE, example, page

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
CALLERS_NAMES = {"DOMINION_API_URL", "DOMINION_API_TOKEN"}
OTHER_NAMES = {"DOMINION_TEST_"}
PAGE_LINES = 60


def read(name: str) -> str:
    """A document."""
    return (ROOT / name).read_text(encoding="utf-8")


def documents() -> list[Path]:
    """All Markdown files of the repository."""
    return [path for path in repository_files() if path.suffix == ".md"]


def test_documents_name_only_words_that_make_knows() -> None:
    known = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = {
        (shown(path), word)
        for path in documents()
        for code in re.findall(r"```.*?```|`[^`\n]+`", path.read_text(encoding="utf-8"), re.DOTALL)
        for word in re.findall(r"(?:^|[`\s])make ([a-z][a-z-]*)", code)
    }
    assert {word for _, word in named} >= {"run", "run-local", "test"}
    assert {(where, word) for where, word in named if word not in known} == set()


def test_documents_link_only_to_files_that_exist() -> None:
    broken = [
        f"{shown(path)}: {target}"
        for path in documents()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


def test_documents_name_only_files_that_exist() -> None:
    roots = ("src/", "tests/", "docs/", "tools/", "bench/", "requirements/")
    missing = [
        f"{shown(path)}: {name}"
        for path in documents()
        for name in re.findall(r"`([\w./-]+)`", path.read_text(encoding="utf-8"))
        if name.startswith(roots) and not (ROOT / name).exists()
    ]
    assert missing == []


def test_the_architecture_names_only_files_of_the_package_that_exist() -> None:
    named = re.findall(
        r"`((?:cli|transports|services|stores|upstream|client|providers|wire|rules|credentials|domain)/[\w./]*|app\.py)`",
        read("ARCHITECTURE.md"),
    )
    assert len(named) > 15
    assert [name for name in named if not (ROOT / "src" / "dominion" / name).exists()] == []


def test_the_architecture_fits_on_two_pages() -> None:
    assert len(read("ARCHITECTURE.md").splitlines()) <= 2 * PAGE_LINES


def test_decisions_are_numbered_without_a_gap_and_fit_on_a_page() -> None:
    assert [path.name[:5] for path in DECISIONS] == [f"{number:04}-" for number in range(1, len(DECISIONS) + 1)]
    for path in DECISIONS:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]}: ")
        assert len(text.splitlines()) <= PAGE_LINES
        assert "\n## Context\n" in text
        assert "\n## Decision\n" in text


def test_every_dependency_has_its_decision() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DECISIONS)
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
        *(line for group in PROJECT["dependency-groups"].values() for line in group if isinstance(line, str)),
    ]
    names = {re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0] for line in wanted}
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_the_changelog_knows_the_version() -> None:
    assert f"## [{PROJECT['project']['version']}]" in read("CHANGELOG.md")


@pytest.mark.promise("001-069", "002-067")
def test_the_licence_is_mit() -> None:
    assert read("LICENSE").startswith("MIT License\n\nCopyright (c) 2026 Dominion contributors\n")
    assert PROJECT["project"]["license"] == "MIT"
    assert "MIT" in read("README.md").rpartition("## Licence")[2]


# --- settings


def test_the_page_and_the_example_of_settings_are_those_of_the_program() -> None:
    assert page(read("docs/configuration.md")) == PAGE.read_text(encoding="utf-8"), "run make docs"
    assert example() == EXAMPLE.read_text(encoding="utf-8"), "run make docs"


def test_documents_name_only_environment_names_that_are_read() -> None:
    known = {name for each in SETTINGS for name in (each.env, each.also)} | CALLERS_NAMES | OTHER_NAMES
    named = {
        (shown(path), name)
        for path in (*documents(), EXAMPLE)
        for name in re.findall(r"\bDOMINION_[A-Z_]+", path.read_text(encoding="utf-8"))
    }
    assert {(where, name) for where, name in named if name not in known} == set()


def test_the_page_of_settings_names_every_environment_name_option_and_key() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = {name for each in SETTINGS for name in (each.env, each.toml, each.option) if name} | CALLERS_NAMES
    assert {name for name in names if f"`{name}`" not in text} == set()


@pytest.mark.promise("000-063", "001-013")
def test_a_copy_of_the_example_is_a_configuration_that_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(read("env.example"), encoding="utf-8")
    assert load({}, folder=tmp_path) == load({}, folder=tmp_path / "empty")


def test_the_defaults_that_the_example_shows_are_the_defaults(tmp_path: Path) -> None:
    samples = ("API_KEY", "ADMIN_TOKEN")
    lines = [
        line.removeprefix("#")
        for line in read("env.example").splitlines()
        if re.match(r"#[A-Z_]+=", line) and not line.partition("=")[0].endswith(samples)
    ]
    (tmp_path / ".env").write_text("\n".join(lines), encoding="utf-8")
    assert load({}, folder=tmp_path) == load({}, folder=tmp_path / "empty")
