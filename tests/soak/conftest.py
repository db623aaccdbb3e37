"""What the long experiments share."""

import os
from pathlib import Path

import pytest

from tests.whole.conftest import folder

__all__ = ["folder"]


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a gateway that a control spoils find its module here."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
