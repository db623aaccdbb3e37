"""What sign-ins need of the outside world, as Protocols; the floors below implement them."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Ask(Protocol):
    """A small request to a token endpoint."""

    async def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, bytes]:
        """The status and the body of the answer; header names in lower case; redirects are not followed.

        Raises NetworkFailure, ProviderTimeout, UnexpectedResponse, and ConfigProblem for a wrong address.
        """


class TokenStore(Protocol):
    """Where one token is kept between runs, shared with other processes."""

    async def read(self) -> bytes | None:
        """What is kept. Raises ConfigProblem when it cannot be read or is open to others."""

    async def write(self, data: bytes) -> None:
        """Replace it in one step. Raises ConfigProblem."""

    def locked(self) -> AbstractAsyncContextManager[None]:
        """Keep out whoever else locks it. Raises StorageUnavailable when another one keeps it too long."""
