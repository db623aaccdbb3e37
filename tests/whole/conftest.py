"""A running program that tests of this folder share; tests that kill it start their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.program import Program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program with the stub as its only provider."""
    with Program(tmp_path_factory.mktemp("program")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a program of one's own."""
    return tmp_path / "program"
