"""AWS: each request signed with keys that may change while the gateway runs. Shows none."""

from collections.abc import Awaitable, Callable

from dominion.credentials.sigv4 import AwsKeys, Signer
from dominion.domain.contracts import Clock
from dominion.domain.errors import InvalidCredentials
from dominion.services.sign_in.renewal import Lease, Renewal

NAME = "AWS Bedrock"
LOOK_AGAIN = 60.0
"""Seconds after which the keys are looked up again; whatever renews them in the files or at AWS is seen then."""

FindKeys = Callable[[], Awaitable[tuple[AwsKeys, float | None]]]
"""The keys, and for how many seconds they are good at least (None: until someone changes them)."""


class AwsAuthority:
    """`domain.contracts.Authority` for AWS. `host` is the value of the request's host header, which is signed, as is
    `content-type: application/json`."""

    def __init__(self, find: FindKeys, region: str, host: str, clock: Clock, service: str = "bedrock") -> None:
        self._find = find
        self._region = region
        self._host = host
        self._clock = clock
        self._service = service
        self._renewal = Renewal(NAME, self._renew, clock)

    async def headers(self, path: bytes, body: bytes) -> bytes:
        """See `Authority.headers`."""
        signer = await self._renewal.current()
        return signer.sign(path, body, self._clock.now())

    def refused(self) -> None:
        """See `Authority.refused`. AWS says 403 with ExpiredTokenException rather than 401."""
        self._renewal.refused()

    async def _renew(self, _: Lease[Signer] | None) -> Lease[Signer]:
        keys, lasts = await self._find()
        try:
            signer = Signer(keys, self._region, self._host, service=self._service)
        except ValueError as problem:
            raise InvalidCredentials(f"{NAME}: {problem}.", provider=NAME) from None
        now = self._clock.now()
        return Lease(signer, renew_at=now + LOOK_AGAIN, dies_at=float("inf") if lasts is None else now + lasts)
