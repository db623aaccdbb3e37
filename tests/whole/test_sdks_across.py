"""Each vendor's SDK holds the same conversation with providers of other vendors: thoughts, tools, schemas and images.

The providers are strict emulators (tests/emulators/conversing.py): who does not get its seal back refuses.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from dominion.wire.seals import MARK
from tests.emulators.conversing import (
    ARGUMENTS,
    JSON,
    PNG,
    SCHEMA,
    SEAL,
    SEEN,
    THOUGHT,
    WEATHER,
    Anthropic,
    Conversing,
    Gemini,
    OpenAI,
)
from tests.emulators.listening import Listening
from tests.whole.program import Program

genai: Any = pytest.importorskip("google.genai", reason="google-genai is not installed")

MODELS = {"anthropic": "anthropic/claude-sonnet-4-5", "gemini": "gemini/gemini-3-flash", "openai": "openai/gpt-5"}
QUESTION, LOOK = "Weather?", "What is it?"
Talk = dict[str, Any]


class House(NamedTuple):
    """A gateway before all three."""

    program: Program
    providers: dict[str, Conversing]
    key: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    providers = {"anthropic": Anthropic(), "gemini": Gemini(), "openai": OpenAI()}
    with Listening(*(provider.answer for provider in providers.values())) as at:
        toml = "".join(
            f'[providers.{name}]\napi_key = "key"\nbase_url = "{url}"\n'
            for name, url in zip(providers, at.urls, strict=True)
        )
        with Program(tmp_path_factory.mktemp("across"), toml=toml, UNPRICED="allow") as program:
            yield House(program, providers, program.user()[1])


# --- how each SDK asks: the parts of what it got that the test compares


def chat(house: House, model: str, *, stream: bool) -> Talk:
    """OpenAI's SDK, chat."""
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    with openai.OpenAI(base_url=f"{house.program.url}/v1", api_key=house.key, max_retries=0) as client:

        def ask(messages: list[Any], **more: Any) -> Any:
            if not stream:
                return client.chat.completions.create(model=model, messages=messages, **more).choices[0].message
            with client.chat.completions.stream(model=model, messages=messages, **more) as events:
                return events.get_final_completion().choices[0].message

        asked: list[Any] = [{"role": "user", "content": QUESTION}]
        first = ask(asked, tools=[tool])
        (call,) = first.tool_calls
        turn = first.model_dump(exclude_none=True, exclude={"parsed"})
        turn["tool_calls"] = [{**each, "function": _plain(each["function"])} for each in turn["tool_calls"]]
        result = {"role": "tool", "tool_call_id": call.id, "content": "Rain."}
        last = ask([*asked, turn, result], tools=[tool])
        form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        seen = [{"role": "user", "content": [{"type": "text", "text": LOOK}, image]}]
        return {
            "thought": first.reasoning_content,
            "arguments": json.loads(call.function.arguments),
            "weather": last.content,
            "json": ask(asked, response_format=form).content,
            "seen": ask(seen).content,
        }


def _plain(function: dict[str, Any]) -> dict[str, Any]:
    """Without what the SDK's stream parser adds to a function."""
    return {name: value for name, value in function.items() if name != "parsed_arguments"}


def responses(house: House, model: str, *, stream: bool) -> Talk:
    """OpenAI's SDK, Responses."""
    tool = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}
    with openai.OpenAI(base_url=f"{house.program.url}/v1", api_key=house.key, max_retries=0) as client:

        def ask(asked: Any, **more: Any) -> Any:
            if not stream:
                return client.responses.create(model=model, input=asked, **more)
            with client.responses.stream(model=model, input=asked, **more) as events:
                return events.get_final_response()

        question: list[Any] = [{"role": "user", "content": QUESTION}]
        first = ask(question, tools=[tool], include=["reasoning.encrypted_content"])
        (call,) = [item for item in first.output if item.type == "function_call"]
        thoughts = [item for item in first.output if item.type == "reasoning" and item.summary]
        output = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
        last = ask([*question, *output, result], tools=[tool])
        form = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}
        image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
        seen = [{"role": "user", "content": [{"type": "input_text", "text": LOOK}, image]}]
        return {
            "thought": "".join(summary.text for item in thoughts for summary in item.summary),
            "arguments": json.loads(call.arguments),
            "weather": last.output_text,
            "json": ask(question, text=form).output_text,
            "seen": ask(seen).output_text,
        }


def messages(house: House, model: str, *, stream: bool) -> Talk:
    """Anthropic's SDK."""
    tool = {"name": "weather", "input_schema": SCHEMA}
    with anthropic.Anthropic(base_url=house.program.url, api_key=house.key, max_retries=0) as client:

        def ask(turns: list[Any], **more: Any) -> Any:
            if not stream:
                return client.messages.create(model=model, max_tokens=500, messages=turns, **more)
            with client.messages.stream(model=model, max_tokens=500, messages=turns, **more) as events:
                return events.get_final_message()

        def text(answer: Any) -> str:
            return "".join(block.text for block in answer.content if block.type == "text")

        asked = [{"role": "user", "content": QUESTION}]
        first = ask(asked, tools=[tool])
        (call,) = [block for block in first.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "Rain."}
        blocks = [block.model_dump(exclude_none=True) for block in first.content]
        turns = [{"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
        form = {"format": {"type": "json_schema", "schema": SCHEMA}}
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
        return {
            "thought": "".join(block.thinking for block in first.content if block.type == "thinking"),
            "arguments": call.input,
            "weather": text(ask([*asked, *turns], tools=[tool])),
            "json": text(ask(asked, output_config=form)),
            "seen": text(ask([{"role": "user", "content": [{"type": "text", "text": LOOK}, image]}])),
        }


def contents(house: House, model: str, *, stream: bool) -> Talk:
    """Google's SDK."""
    types = genai.types
    declared = types.FunctionDeclaration(name="weather", parameters_json_schema=SCHEMA)
    tools = {"tools": [types.Tool(function_declarations=[declared])]}
    with genai.Client(api_key=house.key, http_options=types.HttpOptions(base_url=house.program.url)) as client:

        def ask(turns: Any, config: Any = None) -> list[Any]:
            asked = {"model": model, "contents": turns, "config": config}
            if not stream:
                return list(client.models.generate_content(**asked).candidates[0].content.parts)
            chunks = list(client.models.generate_content_stream(**asked))
            found = [chunk.candidates[0].content for chunk in chunks if chunk.candidates]
            return [part for content in found if content and content.parts for part in content.parts]

        def text(parts: list[Any]) -> str:
            return "".join(part.text or "" for part in parts if not part.thought)

        question = types.Content(role="user", parts=[types.Part(text=QUESTION)])
        first = ask([question], tools)
        (call,) = [part.function_call for part in first if part.function_call]
        response = types.FunctionResponse(id=call.id, name=call.name, response={"output": "Rain."})
        result = types.Content(role="user", parts=[types.Part(function_response=response)])
        last = ask([question, types.Content(role="model", parts=first), result], tools)
        form = {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
        image = types.Part(inline_data=types.Blob(mime_type="image/png", data=PNG_BYTES))
        seen = types.Content(role="user", parts=[types.Part(text=LOOK), image])
        return {
            "thought": "".join(part.text or "" for part in first if part.thought),
            "arguments": call.args,
            "weather": text(last),
            "json": text(ask([question], form)),
            "seen": text(ask([seen])),
        }


PNG_BYTES = b"\x89PNG\r\n\x1a\ncat"
SDKS: dict[str, tuple[Callable[..., Talk], tuple[str, ...]]] = {
    "openai-chat": (chat, ("anthropic", "gemini")),
    "openai-responses": (responses, ("anthropic", "gemini", "openai")),
    "anthropic": (messages, ("gemini", "openai")),
    "google-genai": (contents, ("anthropic", "openai")),
}
"""Each with the providers that are foreign to it; here OpenAI's has chat only, so Responses are translated, too."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("sdk", "provider"), [(sdk, provider) for sdk, (_, providers) in SDKS.items() for provider in providers]
)
def test_an_sdk_holds_a_conversation_with_a_foreign_provider(
    house: House, sdk: str, provider: str, *, stream: bool
) -> None:
    talk = SDKS[sdk][0](house, MODELS[provider], stream=stream)
    assert talk == {"thought": THOUGHT, "arguments": ARGUMENTS, "weather": WEATHER, "json": JSON, "seen": SEEN}


@pytest.mark.parametrize(
    ("door", "first", "second"),
    [
        ("/v1/chat/completions", "anthropic", "gemini"),
        ("/v1/chat/completions", "anthropic", "openai"),
        ("/v1/messages", "gemini", "anthropic"),
        ("/v1/messages", "gemini", "openai"),
    ],
)
def test_what_one_provider_sealed_is_not_shown_to_another(house: House, door: str, first: str, second: str) -> None:
    asked: list[Any] = [{"role": "user", "content": QUESTION}]
    if door == "/v1/messages":
        tool: Any = {"name": "weather", "input_schema": SCHEMA}
    else:
        tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    body = {"max_tokens": 500, "messages": asked, "tools": [tool], "model": MODELS[first]}
    told = house.program.ask("POST", door, body, token=house.key).json
    if door == "/v1/messages":
        (call,) = [block for block in told["content"] if block["type"] == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "Rain."}
        turns = [{"role": "assistant", "content": told["content"]}, {"role": "user", "content": [result]}]
    else:
        turn = told["choices"][0]["message"]
        turns = [turn, {"role": "tool", "tool_call_id": turn["tool_calls"][0]["id"], "content": "Rain."}]
    assert MARK in json.dumps(turns)
    again = {**body, "messages": [*asked, *turns], "model": MODELS[second]}
    house.program.ask("POST", door, again, token=house.key)  # some refuse a call that they have not sealed
    sent = json.dumps(house.providers[second].asked[-1])
    assert "Rome" in sent
    assert "Rain." in sent
    assert SEAL not in sent
    assert MARK not in sent
