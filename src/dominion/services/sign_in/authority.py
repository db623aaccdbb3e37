"""What the authorities with tokens share: header lines that stay the same until they age. Never shows them."""

from abc import ABC, abstractmethod

from dominion.domain.contracts import Clock
from dominion.services.sign_in.renewal import Lease, Renewal


class TokenAuthority(ABC):
    """`domain.contracts.Authority` over header lines that `_renew` makes anew."""

    def __init__(self, name: str, clock: Clock) -> None:
        """`name` is the provider's, for sentences."""
        self._clock = clock
        self._renewal = Renewal(name, self._renew, clock)

    async def headers(self, path: bytes, body: bytes) -> bytes:  # noqa: ARG002 - the contract's
        """See `Authority.headers`; raises also ProviderUnavailable, ProviderRateLimited and UnexpectedResponse."""
        return await self._renewal.current()

    def refused(self) -> None:
        """See `Authority.refused`."""
        self._renewal.refused()

    @abstractmethod
    async def _renew(self, before: Lease[bytes] | None) -> Lease[bytes]:
        """New lines for those of `before`. Raises a DominionError."""
