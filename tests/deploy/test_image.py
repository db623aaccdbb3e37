"""The Dockerfile's steps in a plain folder, and what would run in the image: it serves, is healthy, and writes nowhere
but into its data. Installs packages, so it takes a while.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.house.source import ROOT
from tests.whole.program import Program
from tools.run_dockerfile import run

pytestmark = pytest.mark.soak


def files(folder: Path) -> dict[str, int]:
    """Every file below it and when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_what_the_dockerfile_builds_serves_is_healthy_and_leaves_its_file_system_as_it_is(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("steps of a Dockerfile run as root")
    image = run(ROOT / "Dockerfile", tmp_path / "root")
    before = files(tmp_path / "root")
    name, *arguments = image.command
    bin_folder = image.environment["PATH"].partition(":")[0]
    with Program(tmp_path / "container", command=[f"{bin_folder}/{name}"], WORKERS="2") as program:
        assert arguments == ["serve"]
        assert program.chat(program.user()[1]).status == 200
        there = image.environment | {"PORT": program.url.rsplit(":", 1)[1]}
        for port, code in ((there["PORT"], 0), ("1", 1)):
            probe = subprocess.run(image.health, env=there | {"PORT": port}, capture_output=True, check=False)
            assert probe.returncode == code, probe.stderr
    assert files(tmp_path / "root") == before
