"""Every dialect that the gateway speaks, by its name."""

from dominion.domain.contracts import Dialect
from dominion.wire.anthropic_cloud import ANTHROPIC_VERTEX, BEDROCK_INVOKE
from dominion.wire.anthropic_messages import ANTHROPIC_MESSAGES
from dominion.wire.bedrock_converse import BEDROCK_CONVERSE
from dominion.wire.gemini import GEMINI
from dominion.wire.native import NATIVE
from dominion.wire.ollama_chat import OLLAMA_CHAT
from dominion.wire.openai_chat import (
    OPENAI_CHAT,
    OPENAI_CHAT_GOOGLE,
    OPENAI_CHAT_MISTRAL,
    OPENAI_CHAT_OLD_CAP,
    OPENAI_CHAT_OPENROUTER,
)
from dominion.wire.openai_completions import OPENAI_COMPLETIONS
from dominion.wire.openai_responses import OPENAI_RESPONSES

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        OPENAI_CHAT,
        ANTHROPIC_MESSAGES,
        NATIVE,
        GEMINI,
        OPENAI_RESPONSES,
        OPENAI_COMPLETIONS,
        BEDROCK_CONVERSE,
        BEDROCK_INVOKE,
        ANTHROPIC_VERTEX,
        OLLAMA_CHAT,
        OPENAI_CHAT_GOOGLE,
        OPENAI_CHAT_MISTRAL,
        OPENAI_CHAT_OLD_CAP,
        OPENAI_CHAT_OPENROUTER,
    )
}
