"""Google's own Python SDK, unmodified, against the running program: both of its API versions and both kinds of keys."""

from typing import Any

import pytest

from tests.whole.program import Program

genai: Any = pytest.importorskip("google.genai", reason="google-genai is not installed")

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = {"tools": [{"function_declarations": [{"name": "weather", "parameters_json_schema": WEATHER}]}]}


@pytest.fixture(scope="module")
def key(program: Program) -> str:
    return program.user(daily_tokens=10**9, monthly_spend_cap_usd=1000)[1]


@pytest.fixture(params=["v1", "v1beta"])
def client(program: Program, key: str, request: pytest.FixtureRequest) -> Any:
    options = genai.types.HttpOptions(base_url=program.url, api_version=request.param)
    with genai.Client(api_key=key, http_options=options) as running:
        yield running


def test_a_whole_answer(client: Any) -> None:
    answer = client.models.generate_content(model="stub/echo", contents="Hello!")
    assert "Hello!" in answer.text
    assert answer.candidates[0].finish_reason.name == "STOP"
    usage = answer.usage_metadata
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count > 0


def test_a_stream(client: Any) -> None:
    chunks = list(client.models.generate_content_stream(model="stub/echo", contents="Hello!"))
    assert len(chunks) > 2
    assert "Hello!" in "".join(chunk.text or "" for chunk in chunks)
    assert chunks[-1].usage_metadata.candidates_token_count > 0
    assert chunks[-1].candidates[0].finish_reason.name == "STOP"


def test_caps_and_system_instructions_are_kept(client: Any) -> None:
    answer = client.models.generate_content(
        model="stub/answer-200",
        contents="Hello!",
        config={"max_output_tokens": 20, "system_instruction": "Be brief.", "temperature": 0.5},
    )
    assert answer.candidates[0].finish_reason.name == "MAX_TOKENS"
    assert answer.usage_metadata.candidates_token_count == 20


@pytest.mark.parametrize("stream", [True, False])
def test_tools(client: Any, stream: bool) -> None:  # noqa: FBT001
    asked = {"model": "stub/tool", "contents": "Weather?", "config": TOOLS}
    answers = (
        list(client.models.generate_content_stream(**asked)) if stream else [client.models.generate_content(**asked)]
    )
    (call,) = [call for answer in answers for call in answer.function_calls or []]
    assert call.name == "weather"
    assert isinstance(call.args["city"], str)


def test_a_chat_remembers(client: Any) -> None:
    chat = client.chats.create(model="stub/echo")
    chat.send_message("One.")
    assert "Two." in chat.send_message("Two.").text
    assert [content.role for content in chat.get_history()] == ["user", "model", "user", "model"]


def test_tokens_are_counted(client: Any) -> None:
    short = client.models.count_tokens(model="stub/echo", contents="Hello!")
    long = client.models.count_tokens(model="stub/echo", contents="Hello! " * 1000)
    assert 1 <= short.total_tokens < 100
    assert 1000 < long.total_tokens < 3000


def test_models(client: Any) -> None:
    names = [model.name for model in client.models.list()]
    assert "models/stub/echo" in names
    assert client.models.get(model="stub/echo").name == "models/stub/echo"


def test_errors_become_the_sdk_s_own_classes(program: Program, client: Any) -> None:
    cases = [
        ("no-such-model", genai.errors.ClientError, 404, "NOT_FOUND"),
        ("stub/fail-400", genai.errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("stub/fail-429", genai.errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("stub/fail-503", genai.errors.ServerError, 503, "UNAVAILABLE"),
    ]
    for model, expected, code, status in cases:
        for ask in (
            client.models.generate_content,
            lambda **asked: list(client.models.generate_content_stream(**asked)),
        ):
            with pytest.raises(expected) as caught:
                ask(model=model, contents="Hello!")
            assert (caught.value.code, caught.value.status) == (code, status)
    options = genai.types.HttpOptions(base_url=program.url)
    with genai.Client(api_key="dom_wrong_key", http_options=options) as stranger:
        with pytest.raises(genai.errors.ClientError) as caught:
            stranger.models.get(model="stub/echo")
        assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")
