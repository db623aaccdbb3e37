"""Google's Schema (a subset of OpenAPI 3.0) as JSON Schema. Never touches what is JSON Schema already.

Differences: types in capitals (or as numbers of the enum), `nullable`, 64-bit limits as strings, names in snake case.
"""

from typing import Any

import msgspec

from dominion.wire.fields import decode
from dominion.wire.gemini.spelling import camel

_NUMBERED = ("", "string", "number", "integer", "boolean", "array", "object", "null")
_RENAMED = {"ref": "$ref", "defs": "$defs"}
_DROPPED = frozenset({"propertyOrdering", "nullable"})
_SCHEMA = msgspec.json.Decoder(dict[str, Any])
_LIMITS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})


def json_schema(raw: msgspec.Raw, where: str) -> msgspec.Raw:
    """The schema as JSON Schema; `where` is its place in the request. Raises InvalidRequest when it is no object."""
    return msgspec.Raw(msgspec.json.encode(_node(decode({where: raw}, where, _SCHEMA))))


def _node(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    written: dict[str, Any] = {}
    for name, value in schema.items():
        key = _RENAMED.get(name) or camel(name)
        if key not in _DROPPED:
            written[key] = _value(key, value)
    if not written.get("type", "absent"):
        del written["type"]  # TYPE_UNSPECIFIED
    return _with_null(written) if schema.get("nullable") is True else written


def _value(key: str, value: Any) -> Any:
    if key in ("properties", "$defs") and isinstance(value, dict):
        return {name: _node(inner) for name, inner in value.items()}
    if key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [_node(inner) for inner in value]
    if key in ("items", "additionalProperties"):
        return _node(value)
    if key == "type":
        return _type(value)
    return int(value) if key in _LIMITS and isinstance(value, str) and value.isdecimal() else value


def _type(told: Any) -> Any:
    if isinstance(told, str):
        return "" if told == "TYPE_UNSPECIFIED" else told.lower()
    return _NUMBERED[told] if type(told) is int and 0 <= told < len(_NUMBERED) else told


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("anyOf"), list):
        schema["anyOf"].append({"type": "null"})
    if isinstance(schema.get("enum"), list):
        schema["enum"].append(None)
    return schema
