"""The OpenAPI document, made from the table of operations and the completion doors."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from dominion.domain.contracts import Dialect
from dominion.services.operations import Operation

SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "caller": [{"key": []}],
    "admin": [{"admin": []}],
    "local": [{"admin": []}],
    "open": [],
}

ASKED_IN = {"openai_responses": "input", "openai_completions": "prompt"}
"""The field of a completion request that holds the conversation, where it is not `messages`."""


def document(table: Iterable[Operation], doors: Mapping[str, Dialect], version: str) -> dict[str, Any]:
    """The document as plain values."""
    table = list(table)
    forms = [operation.body for operation in table if operation.body is not None]
    _, schemas = msgspec.json.schema_components(forms, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    for path, dialect in doors.items():
        paths[path] = {"post": _completion(dialect)}
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
    names = [piece[1:-1] for piece in operation.path.split("/") if piece.startswith("{")]
    if names:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if operation.body is not None:
        schema = {"$ref": f"#/components/schemas/{operation.body.__name__}"}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _completion(dialect: Dialect) -> dict[str, Any]:
    required = ASKED_IN.get(dialect.name, "messages")
    body = {"type": "object", "required": [required], "properties": {"model": {"type": "string"}}}
    return {
        "operationId": f"complete_{dialect.name}",
        "summary": f"A completion in the dialect {dialect.name}",
        "security": SECURITY["caller"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {
                "description": "The answer",
                "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}},
            },
            "default": PROBLEM,
        },
    }
