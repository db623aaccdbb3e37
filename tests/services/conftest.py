"""What tests of services that ask providers over real sockets share."""

from collections.abc import AsyncIterator, Iterator

import pytest

from dominion.upstream.pool import HttpUpstream
from tests.emulators.listed import Listed


@pytest.fixture
async def sockets() -> AsyncIterator[HttpUpstream]:
    """The client for providers."""
    running = HttpUpstream()
    yield running
    await running.aclose()


@pytest.fixture
def listed() -> Iterator[Listed]:
    """A service with a list of models."""
    with Listed() as running:
        yield running
