"""No float ever holds money: the files that count it have no float, no decimal constant and no true division."""

import ast
from pathlib import Path

import pytest

from tests.house.source import ROOT, shown, tree

MONEY = (
    "src/dominion/domain/usage.py",
    "src/dominion/rules/prices/pricing.py",
    "src/dominion/rules/limits/quoting.py",
    "src/dominion/rules/prices/repricing.py",
    "src/dominion/rules/prices/choosing.py",
    "src/dominion/rules/prices/reconcile.py",
    "src/dominion/services/prices/quoting.py",
    "src/dominion/services/prices/repricing.py",
    "src/dominion/services/offer/listing.py",
)


@pytest.mark.parametrize("name", MONEY)
def test_a_file_that_counts_money_has_no_float(name: str) -> None:
    path = ROOT / name
    assert [f"{shown(path)}:{line} {reason}" for line, reason in floats(path)] == []


def test_the_search_for_floats_finds_each_way_to_make_one(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text("a = float(1)\nb = 0.5\nc = 1 / 2\nc /= 2\nd = round(1, 2) // 3\n", encoding="utf-8")
    assert [line for line, _ in floats(path)] == [1, 2, 3, 4]


def floats(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that make a float, and how."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            found.append((node.lineno, "calls float"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append((node.lineno, "writes a decimal constant"))
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append((node.lineno, "divides with a fraction"))
    return sorted(found)
