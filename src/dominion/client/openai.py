"""OpenAI, asked directly with the caller's own `OPENAI_API_KEY`."""

from dominion.client.dialect_provider import DirectProvider
from dominion.wire.openai_chat.dialect import OPENAI_CHAT


class OpenAIProvider(DirectProvider):
    """Chat completions of api.openai.com, or of `base_url`."""

    name = "openai"
    dialect = OPENAI_CHAT
