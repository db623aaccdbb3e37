"""Tokens that nothing here can renew: Claude's OAuth tokens (opt-in) and Bedrock's bearer tokens. Shows none."""

from dominion.credentials.present import headers as header_lines


class FixedAuthority:
    """`domain.contracts.Authority` over one of the schemes of `credentials.present`."""

    def __init__(self, scheme: str, token: str) -> None:
        """Raises ValueError, which never holds the token, as `credentials.present.headers`."""
        self._lines = header_lines(scheme, token)

    async def headers(self, path: bytes, body: bytes) -> bytes:  # noqa: ARG002 - the contract's
        """See `Authority.headers`; never raises."""
        return self._lines

    def refused(self) -> None:
        """Nothing to renew: the provider's own refusal reaches the caller."""


class AnthropicOAuth(FixedAuthority):
    """Bearer and the OAuth beta header. Anthropic refuses subscription tokens outside its own programs, and nothing
    here pretends to be one of them (decision X-14)."""

    def __init__(self, token: str) -> None:
        """Raises ValueError, which never holds the token."""
        super().__init__("anthropic_oauth", token)
