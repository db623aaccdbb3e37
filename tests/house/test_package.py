"""What is built is whole: every file of the package, both commands, and nothing else."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.house.source import ROOT, repository_files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    script = f"import uv_build; print(uv_build.build_wheel({str(folder)!r}))"
    environment = {"PATH": str(Path(sys.executable).parent)}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return zipfile.ZipFile(folder / run.stdout.split()[-1])


@pytest.mark.promise("001-018")
def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    source = ROOT / "src"
    expected = {path.relative_to(source).as_posix() for path in repository_files() if path.is_relative_to(source)}
    built = {name for name in wheel.namelist() if not name.endswith("/") and ".dist-info/" not in name}
    assert built == expected


@pytest.mark.promise("002-005")
def test_the_wheel_installs_both_commands_and_carries_its_licence(wheel: zipfile.ZipFile) -> None:
    info = "dominion_gateway-0.1.0.dist-info"
    commands = wheel.read(f"{info}/entry_points.txt").decode()
    assert "dominion = dominion.cli.main:main" in commands
    assert "dominion-pm = dominion.cli.main:main" in commands
    metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert (metadata["License-Expression"], metadata["License-File"]) == ("MIT", "LICENSE")
    assert metadata["Requires-Python"] == ">=3.11"
