"""Google Vertex AI: access tokens for a service account's key or a person's sign-in. Shows none."""

from dominion.credentials.google_jwt import AuthorizedUser, ServiceAccount
from dominion.domain.contracts import Clock
from dominion.services.sign_in.authority import TokenAuthority
from dominion.services.sign_in.endpoints import ask_token, bearer_lines, fixed_lines
from dominion.services.sign_in.outside import Ask
from dominion.services.sign_in.renewal import Lease

NAME = "Google Vertex AI"
ACTION = "The operator must check the key file, and that this machine's clock is right."
DEFAULT_LIFE = 3600.0
EARLY = 225.0
"""Seconds; as Google's own library renews."""
MARGIN = 10.0


class VertexAuthority(TokenAuthority):
    """`domain.contracts.Authority` for Vertex AI."""

    def __init__(self, key: ServiceAccount | AuthorizedUser, ask: Ask, clock: Clock) -> None:
        """Raises ConfigProblem for a project that cannot be in a header."""
        self._key = key
        self._ask = ask
        # A person's sign-in belongs to no project: Google wants to know whom to charge.
        charged = {"x-goog-user-project": key.project} if isinstance(key, AuthorizedUser) and key.project else {}
        self._more = fixed_lines(NAME, charged)
        super().__init__(NAME, clock)

    async def _renew(self, before: Lease[bytes] | None) -> Lease[bytes]:  # noqa: ARG002 - nothing of it is needed
        fields = self._key.grant(self._clock.now())
        answer = await ask_token(self._ask, NAME, self._key.token_uri, fields, action=ACTION)
        dies_at = self._clock.now() + answer.lasts(DEFAULT_LIFE)
        lines = bearer_lines(NAME, answer.access_token, self._more)
        return Lease(lines, renew_at=dies_at - EARLY, dies_at=dies_at - MARGIN)
