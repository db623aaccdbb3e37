"""The simplest value that fits a JSON Schema, for the stub's tool calls and JSON answers. Not a validator."""

import math
from typing import Any

_DEEPEST = 12
_MOST_VALUES = 200
_LONGEST_TEXT = 500


def example(schema: Any) -> Any:
    """A value that fits `schema` where that can be had simply; null where it cannot (not, if, pattern ...).

    Objects hold their required properties only. Never raises, and the value is small whatever the schema says.
    """
    return _Example(schema).value(schema, 0)


class _Example:
    """`root` is what "$ref" points into; `left` how many more values may be made, against schemas that multiply."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.left = _MOST_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self.left -= 1
        if not isinstance(schema, dict) or depth > _DEEPEST or self.left < 0:
            return None
        if "$ref" in schema:
            return self.value(self._follow(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        for key in ("enum", "examples"):
            if isinstance(schema.get(key), list) and schema[key]:
                return schema[key][0]
        for key in ("anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(key), list) and schema[key]:
                return self.value(schema[key][0], depth + 1)
        return self._by_type(schema, depth)

    def _by_type(self, schema: dict[str, Any], depth: int) -> Any:  # noqa: PLR0911 - one for each type
        kind = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kind, list):
            kind = kind[0] if kind else None
        match kind:
            case "object":
                properties, required = schema.get("properties"), schema.get("required")
                known = properties if isinstance(properties, dict) else {}
                names = required[: max(self.left, 0)] if isinstance(required, list) else []
                return {name: self.value(known.get(name), depth + 1) for name in names if isinstance(name, str)}
            case "array":
                fewest = min(_count(schema, "minItems"), max(self.left, 0))
                return [self.value(schema.get("items"), depth + 1) for _ in range(fewest)]
            case "string":
                return "a" * min(_count(schema, "minLength"), _LONGEST_TEXT)
            case "integer":
                return math.ceil(_number(schema))
            case "number":
                return _number(schema)
            case "boolean":
                return False
        return None

    def _follow(self, reference: Any) -> Any:
        """The part of the root that a local reference such as "#/$defs/Place" points to."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found = self.root
        for step in filter(None, reference[1:].split("/")):
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found


def _count(schema: dict[str, Any], key: str) -> int:
    value = schema.get(key)
    return value if isinstance(value, int) and value > 0 else 0


def _number(schema: dict[str, Any]) -> float:
    """0 if it is allowed, else the nearest bound that is, or the whole number past one that is not."""
    low, above, high, below = (
        value if isinstance(value := schema.get(key), int | float) and not isinstance(value, bool) else None
        for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    )
    if low is not None and low > 0:
        return low
    if above is not None and above >= 0:
        return math.floor(above) + 1
    if high is not None and high < 0:
        return high
    if below is not None and below <= 0:
        return math.ceil(below) - 1
    return 0
