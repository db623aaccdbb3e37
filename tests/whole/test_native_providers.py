"""Every native provider of 004, configured by its own table, answers at both doors through the running program."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.emulators.listening import Asked, Listening
from tests.emulators.natives import AWS, NATIVES, REGION, Native, Natives, say
from tests.emulators.spoken import ANTHROPIC_MESSAGES, INPUT_TOKENS, OUTPUT_TOKENS, TEXT
from tests.whole.heard import ANTHROPIC, OPENAI, Heard, heard
from tests.whole.program import Answer, Program

DOORS = {OPENAI: "openai", ANTHROPIC: "anthropic"}
CANARIES = (b"canary", b"copilot-short", b"qwen-", b"ya29")
PROOFS = {
    "anthropic": ("004-014", "004-100"),
    "openai": ("004-015", "004-100"),
    "ollama": ("004-016", "004-106", "003-224"),
    "gemini": ("003-101", "003-223"),
    "azure_openai": ("003-225",),
    "copilot": ("004-017", "004-105"),
    "qwen_oauth": ("004-018",),
    "bedrock": ("004-019", "004-103"),
    "vertex": ("004-020", "004-104"),
}


def toml(at: Natives) -> str:
    """The operator's file: every table, in no order."""
    files, sign_ins = at.files, at.url("sign-ins")
    return f"""
[providers.ollama]
base_url = "{at.url("ollama")}"
[providers.azure_openai]
endpoint = "{at.url("azure_openai")}"
api_key = "azure-canary"
[providers.gemini]
api_key = "AIza-canary"
base_url = "{at.url("gemini")}"
[providers.vertex]
key_file = "{files}/key.json"
base_url = "{at.url("vertex")}"
[providers.bedrock]
region = "{REGION}"
base_url = "{at.url("bedrock")}"
[providers.qwen_oauth]
credentials_path = "{files}/qwen.json"
sign_in_url = "{sign_ins}"
[providers.copilot]
token_path = "{files}/copilot_token.txt"
api_url = "{sign_ins}"
base_url = "{at.url("copilot")}"
[providers.openai]
api_key = "sk-canary"
base_url = "{at.url("openai")}"
[providers.anthropic]
api_key = "sk-ant-canary"
base_url = "{at.url("anthropic")}"
"""


class House(NamedTuple):
    """A gateway between a caller and all native providers."""

    program: Program
    natives: Natives
    user_id: str
    key: str

    def ask(self, door: str, model: str, *, stream: bool = False) -> Answer:
        """One request."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 50, "stream": stream}
        return self.program.ask("POST", door, body, token=self.key)

    def rows(self, provider: str, model: str) -> list[dict[str, int]]:
        """What the ledger says of a model."""
        rows = self.program.admin("GET", f"/admin/usage?user_id={self.user_id}")["rows"]
        return [row for row in rows if (row["provider"], row["model"]) == (provider, model)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("natives")
    with Natives(folder) as natives:
        natives.write_files()
        aws = {"AWS_ACCESS_KEY_ID": AWS.access_key, "AWS_SECRET_ACCESS_KEY": AWS.secret_key}
        with Program(folder / "house", toml=toml(natives), UNPRICED="allow", HOME=str(folder), **aws) as program:
            yield House(program, natives, *program.user())


def each() -> list[object]:
    """Every API, with the promises that it proves."""
    return [
        pytest.param(
            native,
            id=native.name,
            marks=pytest.mark.promise(*PROOFS.get(native.provider, ())),
        )
        for native in NATIVES
    ]


@pytest.mark.promise("004-021")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("door", DOORS, ids=DOORS.values())
@pytest.mark.parametrize("native", each())
def test_a_native_provider_is_reached_proved_to_and_metered(
    house: House, native: Native, door: str, *, stream: bool
) -> None:
    model = f"{native.model}{DOORS[door]}-{stream}@1:0".lower()
    answer = house.ask(door, f"{native.provider}/{model}", stream=stream)
    assert heard(door, answer, stream=stream) == Heard(200, TEXT, "", ended=True), answer.body
    assert answer.headers["x-dominion-provider"] == native.provider
    assert not any(canary in answer.body for canary in CANARIES)
    (row,) = house.rows(native.provider, model)
    assert (row["requests"], row["input_tokens"], row["output_tokens"]) == (1, INPUT_TOKENS, OUTPUT_TOKENS)


@pytest.mark.promise("004-087")
def test_bare_names_go_to_the_first_provider_that_has_them(house: House) -> None:
    for model, provider in (
        ("claude-bare", "anthropic"),
        ("gpt-bare", "openai"),
        ("gemini-bare", "vertex"),
        ("eu.anthropic.claude-bare", "bedrock"),
        ("amazon.nova-bare", "bedrock"),
    ):
        assert house.ask(OPENAI, model).headers["x-dominion-provider"] == provider


@pytest.mark.promise("004-071", "004-074", "004-104", "004-105")
def test_a_sign_in_is_renewed_once_for_all_requests_and_kept(house: House) -> None:
    for model in ("copilot/m-once", "qwen_oauth/m-once", "vertex/gemini-once"):
        for _ in range(2):
            assert house.ask(OPENAI, model).status == 200
    assert house.natives.tokens == {"/copilot_internal/v2/token": 1, "/api/v1/oauth2/token": 1, "/google": 1}
    kept = json.loads((house.natives.files / "qwen.json").read_text())
    assert (kept["access_token"], kept["refresh_token"]) == ("qwen-new", "qwen-next")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("copilot", "gpt-5-mini"),
        ("bedrock", "amazon.nova-pro-v1:0"),
        ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("vertex", "gemini-2.5-flash"),
        ("vertex", "claude-sonnet-4-5@20250929"),
        ("gemini", "gemini-2.5-flash"),
        ("azure_openai", "gpt-4o"),
        ("ollama", "llama3.1"),
    ],
)
def test_models_by_their_real_names_have_a_price(house: House, provider: str, model: str) -> None:
    answer = house.ask(OPENAI, f"{provider}/{model}")
    assert answer.status == 200, answer.body
    assert Decimal(answer.headers["x-dominion-cost-usd"]) > 0


@pytest.mark.promise("004-014", "004-101")
def test_an_oauth_token_of_anthropic_is_a_bearer_with_its_beta_header(tmp_path: Path) -> None:
    asked: list[Asked] = []

    async def answer(request: Asked, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(request)
        await say(writer, 200, b"application/json", ANTHROPIC_MESSAGES.whole)

    with Listening(answer) as anthropic:
        environ = {"ANTHROPIC_OAUTH_TOKEN": "sk-ant-oat01-x", "ANTHROPIC_OAUTH": "true"}
        with Program(tmp_path / "house", ANTHROPIC_BASE_URL=anthropic.urls[0], **environ) as program:
            assert program.chat(program.user()[1], "claude-sonnet-4-6").status == 200
    shown = [asked[0].headers.get(name) for name in ("authorization", "anthropic-beta", "x-api-key")]
    assert shown == ["Bearer sk-ant-oat01-x", "oauth-2025-04-20", None]


@pytest.mark.promise("004-003", "004-098", "004-099")
def test_a_table_without_its_file_is_skipped_with_a_warning_and_the_others_serve(tmp_path: Path) -> None:
    file = '[providers.vertex]\nkey_file = "/nowhere/key.json"\n[providers.ollama]\nbase_url = "http://127.0.0.1:9"\n'
    with Program(tmp_path / "house", toml=file) as program:
        assert program.chat(program.user()[1]).status == 200
    told = "".join(program.lines)
    assert "providers: ollama, stub." in told
    assert "Warning: Google Vertex AI is skipped: there is no file /nowhere/key.json." in told
