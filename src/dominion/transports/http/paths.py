"""Which path is which door, and the dialect that it answers in. Opens none."""

from collections.abc import Mapping
from typing import NamedTuple

from starlette.applications import Starlette

from dominion.domain.contracts import Dialect, Outbox
from dominion.services.completions.embedding import OPENAI_EMBEDDINGS
from dominion.services.offer.listing import Shape
from dominion.transports.http.completions import Answers, CallDoor, Entrance, RequestIds
from dominion.transports.http.gemini import GeminiDoor
from dominion.transports.http.server import HttpServer
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.gemini.dialect import GEMINI
from dominion.wire.native.dialect import NATIVE
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from dominion.wire.openai_completions.dialect import OPENAI_COMPLETIONS
from dominion.wire.openai_responses.dialect import OPENAI_RESPONSES

COMPLETIONS: Mapping[str, Dialect] = {
    "/v1/llm/complete": NATIVE,
    "/v1/chat/completions": OPENAI_CHAT,
    "/v1/responses": OPENAI_RESPONSES,
    "/v1/completions": OPENAI_COMPLETIONS,
    "/v1/messages": ANTHROPIC_MESSAGES,
}
"""Those whose path says all; Gemini's hold the name of a model."""


class Behind(NamedTuple):
    """What answers behind the doors."""

    completions: Answers
    embeddings: Answers
    counting: Answers
    quoting: Answers


def server(behind: Behind, entrance: Entrance, rest: Starlette, ids: RequestIds, outbox: Outbox) -> HttpServer:
    """Each path with what answers there; `rest` has all others."""
    completions = CallDoor(behind.completions, entrance)
    doors: dict[str, tuple[CallDoor, Dialect]] = {path: (completions, speaks) for path, speaks in COMPLETIONS.items()}
    doors["/v1/embeddings"] = CallDoor(behind.embeddings, entrance), OPENAI_EMBEDDINGS
    doors["/v1/llm/quote"] = CallDoor(behind.quoting, entrance), NATIVE
    doors["/v1/messages/count_tokens"] = CallDoor(behind.counting, entrance), ANTHROPIC_MESSAGES
    gemini, counting = GeminiDoor(behind.completions, entrance), GeminiDoor(behind.counting, entrance)
    return HttpServer(doors, gemini, counting, rest, ids, outbox)


def dialect_of(path: str, shape: Shape) -> Dialect:
    """The dialect whose error envelope a path answers with; lists of models are every vendor's, told by `shape`."""
    models = path.startswith("/v1/models")
    if path.startswith("/v1beta/") or (models and shape == "gemini"):
        return GEMINI
    if path.startswith("/v1/messages") or (models and shape == "anthropic"):
        return ANTHROPIC_MESSAGES
    return OPENAI_CHAT if path.startswith("/v1/") and not path.startswith("/v1/llm/") else NATIVE
