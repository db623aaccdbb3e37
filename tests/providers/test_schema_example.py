"""providers/schema_example.py: values that fit, and schemas that try to make it work too hard."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dominion.providers.schema_example import example


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}, {"a": ""}),
        ({"properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]}, {"a": 3}),
        ({"type": "object"}, {}),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "string", "enum": ["celsius", "kelvin"]}, "celsius"),
        ({"type": "string", "minLength": 3}, "aaa"),
        ({"const": 7}, 7),
        ({"type": ["string", "null"]}, ""),
        ({"type": "null"}, None),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 0),
        ({"type": "integer", "exclusiveMinimum": 0}, 1),
        ({"type": "integer", "minimum": 0.5}, 1),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "number", "exclusiveMaximum": 0}, -1),
        ({"type": "number", "minimum": -5, "maximum": 5}, 0),
        (
            {
                "$defs": {"Place": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
                "type": "object",
                "properties": {"at": {"$ref": "#/$defs/Place"}},
                "required": ["at"],
            },
            {"at": {"x": 0}},
        ),
        ({"$ref": "#/nowhere"}, None),
        ({"$ref": "https://example.com/schema"}, None),
        (True, None),
    ],
)
def test_the_simplest_fitting_value_is_made(schema: Any, value: Any) -> None:
    assert example(schema) == value


def test_schemas_that_call_themselves_or_multiply_give_small_values() -> None:
    names = [f"p{number}" for number in range(50)]
    multiplying = {"type": "object", "properties": {name: {"$ref": "#"} for name in names}, "required": names}
    nested: dict[str, Any] = {"type": "integer"}
    for _ in range(10):
        nested = {"type": "array", "minItems": 1000, "items": nested}
    for schema in (multiplying, nested, {"$ref": "#"}, {"type": "string", "minLength": 10**12}):
        assert len(msgspec.json.encode(example(schema))) < 20_000


keys = st.sampled_from(
    ["type", "properties", "required", "items", "enum", "anyOf", "$ref", "minimum", "minItems", "minLength", "const"]
)
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["object", "array", "string", "integer", "#", "#/x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=2), inner, max_size=4),
    max_leaves=20,
)


@given(junk)
def test_whatever_stands_for_a_schema_gives_a_value_that_is_json(schema: Any) -> None:
    assert msgspec.json.encode(example(schema))
