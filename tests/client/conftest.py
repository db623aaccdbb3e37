"""Surroundings of a caller, made for each test: nothing of the machine's own environment or files gets in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dominion.client.config_file import Surroundings

Around = Callable[..., Surroundings]


@pytest.fixture
def around(tmp_path: Path) -> Around:
    """Makes surroundings from environment variables and the text of a pm.config.yaml in the working folder."""

    def make(config: str = "", **environ: str) -> Surroundings:
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        if config:
            (folder / "pm.config.yaml").write_text(config, encoding="utf-8")
        return Surroundings({"HOME": str(tmp_path / "home"), **environ}, folder)

    return make
