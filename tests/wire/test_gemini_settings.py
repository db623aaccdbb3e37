"""Requests of the Gemini API: what a door reads of the tools and of the generation config."""

import json
from typing import Any

import pytest

from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import OutputFormat, Reasoning, Request, ToolChoice
from dominion.wire.fields import read_fields
from dominion.wire.gemini.dialect import GEMINI as DIALECT
from tests.wire.gemini_door import HELLO, door, fields_of


def config(**settings: Any) -> Request:
    return door(generationConfig=settings)


# --- tools


def declared(**declaration: Any) -> Any:
    request = door(tools=[{"functionDeclarations": [{"name": "f", **declaration}]}])
    return json.loads(bytes(request.tools[0].schema))


def test_a_json_schema_is_kept_to_the_byte() -> None:
    tools = b'{"functionDeclarations":{"name":"f","parametersJsonSchema":%b}}'
    schema = b'{"type":"object", "properties":{"a_b":{"$ref":"#/$defs/x"}}, "additionalProperties":false}'
    request = DIALECT.read_request(read_fields(b'{"tools":%b}' % (tools % schema)) | fields_of({"contents": HELLO}))
    assert bytes(request.tools[0].schema) == schema


def test_google_s_schema_becomes_json_schema() -> None:
    parameters = {
        "type": "OBJECT",
        "properties": {
            "any_of": {"type": "STRING", "nullable": True, "enum": ["a", "b"], "max_length": "9"},
            "list": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "minItems": "1"},
            "either": {"any_of": [{"type": "NUMBER"}, {"type": 6}], "nullable": True},
            "free": {"type": "TYPE_UNSPECIFIED", "description": "Anything."},
        },
        "required": ["list"],
        "propertyOrdering": ["list", "any_of"],
    }
    assert declared(parameters=parameters) == {
        "type": "object",
        "properties": {
            "any_of": {"type": ["string", "null"], "enum": ["a", "b", None], "maxLength": 9},
            "list": {"type": "array", "items": {"type": "integer", "format": "int32"}, "minItems": 1},
            "either": {"anyOf": [{"type": "number"}, {"type": "object"}, {"type": "null"}]},
            "free": {"description": "Anything."},
        },
        "required": ["list"],
    }


def test_a_function_without_parameters_takes_an_object() -> None:
    assert declared() == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "declaration", [{"name": ""}, {"name": "f", "parametersJsonSchema": [1]}, {"name": "f", "parameters": "STRING"}]
)
def test_a_function_that_is_none_is_refused(declaration: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        door(tools=[{"functionDeclarations": [declaration]}])


def test_tools_of_google_and_what_else_a_function_declares_are_named() -> None:
    told = [{"googleSearch": {}}, {"functionDeclarations": [{"name": "f", "behavior": "BLOCKING", "response": {}}]}]
    names = ("tools.functionDeclarations.behavior", "tools.functionDeclarations.response", "tools.googleSearch")
    assert door(tools=told).unread == names


@pytest.mark.parametrize(
    ("calling", "expected", "unread"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto"), ()),
        ({"mode": "none"}, ToolChoice("none"), ()),
        ({"mode": "ANY"}, ToolChoice("required"), ()),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice("required"), ()),
        ({"mode": "ANY", "allowed_function_names": ["f"]}, ToolChoice("tool", "f"), ()),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "h"]}, ToolChoice("required"), ("allowedFunctionNames",)),
        ({"mode": "VALIDATED"}, ToolChoice("auto"), ("mode.VALIDATED",)),
    ],
)
def test_the_choice_of_tools_is_read(calling: dict[str, Any], expected: ToolChoice, unread: tuple[str, ...]) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]
    request = door(tools=tools, toolConfig={"functionCallingConfig": calling})
    assert request.tool_choice == expected
    assert request.unread == tuple(f"toolConfig.functionCallingConfig.{name}" for name in unread)


def test_a_choice_without_functions_is_none() -> None:
    calling = {"functionCallingConfig": {"mode": "ANY"}, "retrievalConfig": {"a": 1}}
    request = door(tools=[{"googleSearch": {}}], toolConfig=calling)
    assert (request.tool_choice, request.unread) == (None, ("toolConfig.retrievalConfig", "tools.googleSearch"))


# --- generation config


def test_settings_are_read() -> None:
    request = config(
        maxOutputTokens=9,
        temperature=1.5,
        top_p=0.5,
        topK=40.0,
        stopSequences="end",
        seed=7,
        presencePenalty=1,
        frequency_penalty=-1,
        candidateCount=1,
        responseModalities=["TEXT"],
    )
    assert (request.max_output, request.temperature, request.top_p, request.top_k) == (9, 1.5, 0.5, 40)
    assert (request.stop, request.seed, request.presence_penalty, request.frequency_penalty) == (("end",), 7, 1, -1)
    assert request.unread == ()


def test_a_form_that_is_neither_text_nor_json_is_named() -> None:
    request = config(responseMimeType="text/x.enum")
    assert (request.output_format, request.unread) == (None, ("generationConfig.responseMimeType",))


def test_thoughts_to_be_hidden_are_named() -> None:
    request = config(thinkingConfig={"includeThoughts": False, "thinkingBudget": 9})
    assert request.reasoning == Reasoning(budget=9)
    assert request.unread == ("generationConfig.thinkingConfig.includeThoughts",)


def test_what_has_no_place_elsewhere_is_named() -> None:
    request = door(
        safetySettings=[{"category": "a"}], cachedContent="c", labels={}, generationConfig={"candidateCount": 2}
    )
    assert request.unread == ("cachedContent", "generationConfig.candidateCount", "safetySettings")


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"thinkingBudget": 0}, Reasoning(enabled=False)),
        ({"thinkingBudget": 512}, Reasoning(budget=512)),
        ({"thinkingBudget": -1}, Reasoning()),
        ({"thinkingBudget": -1, "includeThoughts": True}, Reasoning(summary="auto")),
        ({"thinking_level": "HIGH"}, Reasoning(effort="high")),
        ({"includeThoughts": True}, Reasoning(summary="auto")),
        ({}, None),
    ],
)
def test_the_wish_to_think_is_read(thinking: dict[str, Any], expected: Reasoning | None) -> None:
    assert config(thinkingConfig=thinking).reasoning == expected


@pytest.mark.parametrize(
    ("settings", "kind", "schema"),
    [
        ({"responseMimeType": "application/json"}, "json_object", None),
        ({"response_mime_type": "text/plain"}, None, None),
        ({"responseJsonSchema": {"type": "object"}}, "json_schema", {"type": "object"}),
        (
            {"response_mime_type": "application/json", "response_schema": {"type": "STRING"}},
            "json_schema",
            {"type": "string"},
        ),
    ],
)
def test_the_form_of_the_answer_is_read(settings: dict[str, Any], kind: str | None, schema: Any) -> None:
    wanted = config(**settings).output_format or OutputFormat("json_object")
    assert (wanted.kind if config(**settings).output_format else None) == kind
    assert (json.loads(bytes(wanted.schema)) if wanted.schema else None) == schema
