"""Imports only go down, and the ground floors never touch the outside world."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT, imports, python_files, shown, tree

OUTSIDE_WORLD = ("asyncio", "socket", "ssl", "sqlite3", "sqlalchemy", "httpx2", "uvicorn", "starlette")


def test_imports_only_go_down() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_domain_imports_the_standard_library_and_msgspec_only() -> None:
    allowed = sys.stdlib_module_names | {"msgspec", "dominion.domain"}
    foreign = [
        f"{shown(path)}:{line} imports {name}"
        for path in python_files("src/dominion/domain")
        for line, name in imports(tree(path))
        if not any(name == known or name.startswith(f"{known}.") for known in allowed)
    ]
    assert foreign == []


@pytest.mark.parametrize("floor", ["domain", "wire", "rules", "credentials"])
def test_a_pure_floor_loads_nothing_that_could_reach_the_outside_world(floor: str) -> None:
    names = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in python_files(f"src/dominion/{floor}")
    ]
    script = f"import sys, {', '.join(names)}; print(*(name for name in {OUTSIDE_WORLD!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.split()) == (0, []), run.stderr
