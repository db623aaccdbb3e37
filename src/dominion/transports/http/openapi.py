"""The OpenAPI document, made from the table of operations and the doors of calls."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from dominion.domain.contracts import Dialect
from dominion.services.operations.table import Operation
from dominion.transports.http.gemini import COUNT, PREFIXES, STREAM, WHOLE

_IN_PATH = re.compile(r"\{(\w+)\}")

SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "caller": [{"key": []}],
    "admin": [{"admin": []}],
    "local": [{"admin": []}],
    "open": [],
}

STREAM_TYPE = "text/event-stream"


class Door(NamedTuple):
    """A path that answers calls. `asks` is the field that must be there besides the model, and `answers` the content
    types of what comes back; `where` the paths, which may have `{model}` in them."""

    name: str
    summary: str
    asks: str
    where: tuple[str, ...]
    answers: tuple[str, ...] = ("application/json",)
    method: str = "post"


ASKED_IN = {"openai_responses": "input", "openai_completions": "prompt"}
"""The field of a completion request that holds the conversation, where it is not `messages`."""
OTHERS = (
    Door("embed", "Embeddings in the OpenAI shape", "input", ("/v1/embeddings",)),
    Door("quote", "What a request would cost, by model, before it is made", "messages", ("/v1/llm/quote",)),
    Door("count_tokens", "The tokens of a message, before it is sent", "messages", ("/v1/messages/count_tokens",)),
    *(
        Door(
            f"gemini_{action}", summary, "contents", tuple(f"{prefix}{{model}}:{action}" for prefix in PREFIXES), types
        )
        for action, summary, types in (
            (WHOLE, "A completion in the dialect gemini", ("application/json",)),
            (STREAM, "The same, as an array or with alt=sse as events", ("application/json", STREAM_TYPE)),
            (COUNT, "The tokens of a request, before it is made", ("application/json",)),
        )
    ),
    Door(
        "list_models",
        "The models, in the shape of the caller's API",
        "",
        ("/v1/models", "/v1beta/models"),
        method="get",
    ),
    Door("get_model", "One model", "", ("/v1/models/{model}", "/v1beta/models/{model}"), method="get"),
)
"""Doors that are no completion at a path of its own."""


def document(table: Iterable[Operation], doors: Mapping[str, Dialect], version: str) -> dict[str, Any]:
    """The document as plain values. `doors` are those of completions."""
    table = list(table)
    forms = [operation.body for operation in table if operation.body is not None]
    _, schemas = msgspec.json.schema_components(forms, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    for door in (*map(_completion, doors, doors.values()), *OTHERS):
        for number, path in enumerate(door.where):
            paths.setdefault(path, {})[door.method] = _call(
                door, path, f"{door.name}_{number + 1}" if number else door.name
            )
    schemas["Error"] = ERROR
    return {
        "openapi": "3.1.0",
        "info": {"title": "Dominion", "version": version, "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A caller's key, dom_..."},
                "admin": {"type": "http", "scheme": "bearer", "description": "The admin token"},
            },
        },
    }


ERROR = {
    "type": "object",
    "required": ["error", "message", "action", "request_id"],
    "properties": {
        "error": {"type": "string"},
        "message": {"type": "string"},
        "action": {"type": "string"},
        "request_id": {"type": "string"},
        "limit": {"type": ["integer", "string"]},
        "used": {"type": ["integer", "string"]},
        "resets_at": {"type": ["string", "null"], "format": "date-time"},
    },
}
PROBLEM = {
    "description": "An error",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def _described(operation: Operation) -> dict[str, Any]:
    answer = {"description": operation.summary, "content": {"application/json": {"schema": {"type": "object"}}}}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": SECURITY[operation.role],
        "responses": {"201" if operation.creates else "200": answer, "default": PROBLEM},
    }
    described |= _parameters(operation.path)
    if operation.body is not None:
        schema = {"$ref": f"#/components/schemas/{operation.body.__name__}"}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _completion(path: str, dialect: Dialect) -> Door:
    summary = f"A completion in the dialect {dialect.name}"
    asks = ASKED_IN.get(dialect.name, "messages")
    return Door(f"complete_{dialect.name}", summary, asks, (path,), ("application/json", STREAM_TYPE))


def _call(door: Door, path: str, name: str) -> dict[str, Any]:
    answer = {"description": door.summary, "content": {kind: {"schema": {"type": "object"}} for kind in door.answers}}
    described: dict[str, Any] = {
        "operationId": name,
        "summary": door.summary,
        "security": SECURITY["caller"],
        "responses": {"200": answer, "default": PROBLEM},
        **_parameters(path),
    }
    if door.asks:
        named = {} if "{model}" in path else {"model": {"type": "string"}}
        body = {"type": "object", "required": [door.asks], "properties": named}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return described


def _parameters(path: str) -> dict[str, Any]:
    """The parameters that a path has in it, if any."""
    names = _IN_PATH.findall(path)
    each = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    return {"parameters": each} if each else {}
