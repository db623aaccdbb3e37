"""Anthropic, asked directly with the caller's own `ANTHROPIC_API_KEY`."""

from dominion.client.dialect_provider import DirectProvider
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES


class AnthropicProvider(DirectProvider):
    """Messages of api.anthropic.com, or of `base_url`."""

    name = "anthropic"
    dialect = ANTHROPIC_MESSAGES
