"""What every test may use. Never starts anything by itself."""

import sys
from pathlib import Path

import pytest

from tests.requirements import PROMISES
from tools.promises import Collected

ROOT = Path(__file__).parents[1]
pytest_plugins = ("tests.servers.fixtures", "tests.whole.canary_run")


def pytest_configure(config: pytest.Config) -> None:
    """Note which tests prove what, for the test of promises."""
    config.pluginmanager.register(Collected(), "promises")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse tests that claim to prove a promise which nobody made."""
    known = {promise.id for promise in PROMISES}
    unknown = [
        f"{item.nodeid} names {name}, which tests/requirements.py does not list"
        for item in items
        for mark in item.iter_markers("promise")
        for name in mark.args
        if name not in known
    ]
    if unknown:
        raise pytest.UsageError("\n".join(unknown))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of specifications and recordings beside the checkout; skips where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "spec").is_dir():
        pytest.skip("no ../shared beside this checkout")
    return folder


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Real provider traffic, one .jsonl.gz per provider; skips where it is absent."""
    folder = ROOT.parent / "shared" / "recordings"
    if not folder.is_dir():
        pytest.skip("no ../shared/recordings beside this checkout")
    return folder


@pytest.fixture(scope="session")
def first_anthropic() -> Path:
    """The folder with the first generation of the Anthropic SDK: put it first on the PYTHONPATH of a subprocess."""
    folder = Path(sys.prefix) / "sdk-anthropic-0"
    if not (folder / "anthropic").is_dir():
        pytest.skip("requirements/anthropic-0.txt is not installed (`make test` does it)")
    return folder
