"""config/slots.py and config/sign_ins.py: the native providers of 004, each by a table of its own."""

import importlib.util
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dominion.config import Settings, load, slots
from dominion.domain.errors import ConfigProblem
from dominion.domain.providers import Origin, Slot
from dominion.providers.catalog import Catalogue

CATALOGUE = Catalogue.load()
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
COPILOT = '[providers.copilot]\ntoken_path = "{folder}/copilot_token.txt"\n'
QWEN = '[providers.qwen_oauth]\ncredentials_path = "{folder}/qwen_credentials.json"\n'
BEDROCK = '[providers.bedrock]\nregion = "eu-west-1"\n'
VERTEX = '[providers.vertex]\nkey_file = "{folder}/key.json"\n'


@pytest.fixture(scope="module")
def pem() -> str:
    """A private key."""
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person without AWS's files."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def signed_in(tmp_path: Path, pem: str) -> Path:
    """A folder with the files of everybody's sign-in."""
    (tmp_path / "copilot_token.txt").write_text("gho_x\n")
    (tmp_path / "qwen_credentials.json").write_text(json.dumps({"access_token": "a", "resource_url": "portal.qwen.ai"}))
    key = {"type": "service_account", "client_email": "x@y", "private_key": pem, "project_id": "my-gcp-project"}
    (tmp_path / "key.json").write_text(json.dumps(key))
    for name in ("copilot_token.txt", "qwen_credentials.json"):
        (tmp_path / name).chmod(0o600)
    return tmp_path


def settings(folder: Path, toml: str, environ: dict[str, str] | None = None) -> Settings:
    (folder / "dominion.toml").write_text(toml.replace("{folder}", str(folder)))
    return load(environ or {}, folder=folder)


def scan(folder: Path, toml: str, environ: dict[str, str] | None = None) -> tuple[list[Slot], list[str]]:
    return slots(settings(folder, toml, environ), CATALOGUE)


def ids(found: list[Slot]) -> list[str]:
    return [slot.row.id for slot in found]


def addresses(slot: Slot) -> tuple[str, str, str]:
    """Origin, path of whole answers, path of streams."""
    origin, stream = slot.target.origin, slot.stream_target or slot.target
    return f"{origin.scheme}://{origin.host}", slot.target.path.decode(), stream.path.decode()


def serving(model: str, found: list[Slot]) -> list[tuple[str, str]]:
    """The slots that a model goes to: provider and dialect."""
    return [(slot.row.id, slot.row.wire) for slot, _, _ in CATALOGUE.resolve(model, "auto", found)]


@pytest.mark.promise("004-092", "004-093", "004-094", "004-095", "004-096", "004-001", "004-002")
def test_the_scan_order_is_that_of_the_document_and_azure_and_gemini_stand_before_the_local_one(
    signed_in: Path,
) -> None:
    toml = f"""
[providers.ollama]
[providers.azure_openai]
endpoint = "https://mine.openai.azure.com"
api_key = "az"
[providers.gemini]
api_key = "AIza"
{VERTEX}{BEDROCK}{QWEN}{COPILOT}
[[providers.openai_compat]]
id = "groq"
api_key = "gsk"
[providers.openai]
api_key = "sk-x"
[providers.anthropic]
api_key = "sk-ant-x"
"""
    found, warnings = scan(signed_in, toml, AWS)
    assert list(dict.fromkeys(ids(found))) == [
        "anthropic", "openai", "groq", "copilot", "qwen_oauth", "bedrock", "vertex", "gemini", "azure_openai", "ollama",
        "stub",
    ]  # fmt: skip
    assert warnings == ["Qwen (OAuth): Qwen discontinued this sign-in; an API key of qwen works instead."]
    for model in CATALOGUE.models(found):
        first, sends, _ = CATALOGUE.resolve(model.id, "auto", found)[0]
        assert (first.row.id, sends) == (model.provider, model.sends)
    assert len({row.id for row in CATALOGUE.providers.values()} - {"stub"}) + 1 == 42  # gemini speaks two APIs


@pytest.mark.promise("004-065", "004-106")
def test_ollama_needs_no_key_and_listens_on_its_usual_port_unless_told_otherwise(tmp_path: Path) -> None:
    found, warnings = scan(tmp_path, '[agent]\nmodel = "llama3.1"\n[providers.ollama]\n')
    assert found[0].target.origin == Origin("http", "localhost", 11434)
    assert found[0].target.head.startswith(b"POST /api/chat HTTP/1.1\r\n")
    assert b"authorization" not in found[0].target.head
    assert (found[0].default_model, warnings) == ("llama3.1", [])
    toml = '[providers.ollama]\nbase_url = "http://localhost:1"\nmodels = ["qwen3:8b", "llama3.1"]\napi_key = "k"\n'
    found, _ = scan(tmp_path, toml)
    assert serving("qwen3:8b", found) == [("ollama", "ollama_chat")]
    slot = found[0]
    assert (slot.default_model, slot.models) == ("qwen3:8b", ("qwen3:8b", "llama3.1"))
    assert b"\r\nauthorization: Bearer k\r\n" in slot.target.head
    (tmp_path / "dominion.toml").unlink()
    assert ids(slots(load({"OLLAMA_BASE_URL": "http://localhost:2"}, folder=tmp_path), CATALOGUE)[0])[0] == "ollama"


@pytest.mark.promise("004-069", "004-072")
def test_copilot_and_qwen_are_reached_where_they_are_and_show_no_fixed_key(signed_in: Path) -> None:
    (copilot, qwen, _), _ = scan(signed_in, COPILOT + QWEN)
    assert addresses(copilot)[:2] == ("https://api.githubcopilot.com", "/chat/completions")
    assert addresses(qwen)[:2] == ("https://portal.qwen.ai", "/v1/chat/completions")
    assert qwen.default_model == "coder-model"
    assert b"authorization" not in copilot.target.head + qwen.target.head
    (signed_in / "qwen_credentials.json").write_text('{"access_token": "a", "resource_url": null}')
    (copilot, qwen, _), _ = scan(signed_in, COPILOT + 'base_url = "https://copilot.example"\n' + QWEN)
    assert addresses(copilot)[:2] == ("https://copilot.example", "/chat/completions")
    assert addresses(qwen)[:2] == ("https://dashscope.aliyuncs.com", "/compatible-mode/v1/chat/completions")


@pytest.mark.promise("004-075", "004-076", "004-077", "004-078")
def test_bedrock_speaks_converse_and_with_claude_the_messages_api(tmp_path: Path) -> None:
    found, warnings = scan(tmp_path, BEDROCK, AWS)
    converse, invoke, _ = found
    host = "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert addresses(converse) == (host, "/model/{model}/converse", "/model/{model}/converse-stream")
    assert addresses(invoke) == (host, "/model/{model}/invoke", "/model/{model}/invoke-with-response-stream")
    claude = "anthropic.claude-3-5-sonnet-20241022-v2:0"
    assert invoke.target.for_model(claude).path == b"/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/invoke"
    for model in (claude, f"bedrock/{claude}", f"bedrock/us.{claude}", f"global.{claude}"):
        assert serving(model, found) == [("bedrock", "bedrock_invoke")], model
    for model in ("amazon.nova-pro-v1:0", "bedrock/auto", "bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/x"):
        assert serving(model, found) == [("bedrock", "bedrock_converse")], model
    assert warnings == []


@pytest.mark.promise("004-075", "004-076")
def test_bedrocks_region_is_the_environments_then_the_profiles_then_the_usual_one(tmp_path: Path, home: Path) -> None:
    def region(toml: str, **environ: str) -> str:
        return scan(tmp_path, toml, AWS | environ)[0][0].target.origin.host.split(".")[1]

    assert region("[providers.bedrock]") == "us-east-1"
    assert region(BEDROCK, AWS_REGION="us-west-2") == "us-west-2"
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text("[default]\nregion = ap-south-1\n[profile mine]\nregion = sa-east-1\n")
    assert region("[providers.bedrock]") == "ap-south-1"
    assert region('[providers.bedrock]\nprofile = "mine"') == "sa-east-1"


def test_bedrocks_own_key_is_a_bearer_and_needs_no_aws_keys(tmp_path: Path) -> None:
    found, warnings = scan(tmp_path, "[providers.bedrock]\n", {"AWS_BEARER_TOKEN_BEDROCK": "abc"})
    assert [slot.row.credentials for slot in found[:2]] == ["bearer", "bearer"]
    assert b"\r\nauthorization: Bearer abc\r\n" in found[0].target.head
    assert warnings == []


@pytest.mark.parametrize("library", [True, False], ids=["with botocore", "without"])
def test_bedrock_without_keys_waits_for_awss_library_or_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, library: bool
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: library or None)
    found, warnings = scan(tmp_path, "[providers.bedrock]\n")
    if library:
        assert ids(found) == ["bedrock", "bedrock", "stub"]
    else:
        assert ids(found) == ["stub"]
        assert "pip install 'dominion-gateway[aws]'" in warnings[0]


@pytest.mark.promise("004-081", "004-082", "004-083", "004-084", "004-085")
def test_vertex_speaks_googles_api_and_with_claude_anthropics(signed_in: Path) -> None:
    found, warnings = scan(signed_in, VERTEX)
    gemini, claude, _ = found
    host, place = "https://us-central1-aiplatform.googleapis.com", "/v1/projects/my-gcp-project/locations/us-central1"
    google, anthropic = f"{place}/publishers/google/models/", f"{place}/publishers/anthropic/models/"
    assert addresses(gemini) == (
        host,
        google + "{model}:generateContent",
        google + "{model}:streamGenerateContent?alt=sse",
    )
    assert addresses(claude) == (host, anthropic + "{model}:rawPredict", anthropic + "{model}:streamRawPredict")
    for model in ("gemini-1.5-pro", "vertex/gemini-1.5-pro", "vertex/auto", "vertex/text-x"):
        assert serving(model, found) == [("vertex", "gemini")], model
    for model in ("claude-sonnet-4-5@20250929", "vertex/claude-opus-4-5"):
        assert serving(model, found) == [("vertex", "anthropic_vertex")], model
    assert warnings == []


def test_vertexs_project_and_location_may_be_others(signed_in: Path) -> None:
    (gemini, *_), _ = scan(signed_in, VERTEX + 'project_id = "example.com:other"\nlocation = "global"\n')
    assert addresses(gemini)[0] == "https://aiplatform.googleapis.com"
    assert gemini.target.path.startswith(b"/v1/projects/example.com:other/locations/global/publishers/google/")
    (gemini, *_), _ = scan(signed_in, VERTEX + 'location = "eu"\n')
    assert addresses(gemini)[0] == "https://aiplatform.eu.rep.googleapis.com"


@pytest.mark.promise("002-065", "004-068")
def test_gemini_is_reached_by_its_own_api_and_by_the_compatible_one(tmp_path: Path) -> None:
    compatible = '[[providers.openai_compat]]\nid = "gemini"\napi_key = "AIza-c"\n'
    for name in ("GEMINI_API_KEY", "GOOGLE_AI_API_KEY", "GOOGLE_API_KEY"):
        (slot, _), warnings = scan(tmp_path, "", {name: "AIza-x"})
        assert (slot.row.wire, warnings) == ("gemini", [])
        assert b"\r\nx-goog-api-key: AIza-x\r\n" in slot.target.head
    path = "/v1beta/models/{model}:"
    assert addresses(slot)[1:] == (f"{path}generateContent", f"{path}streamGenerateContent?alt=sse")
    found, _ = scan(tmp_path, compatible, {"GEMINI_API_KEY": "AIza-x"})
    assert [slot.row.wire for slot in found[:-1]] == ["openai_chat_google"]
    assert b"Bearer AIza-c" in found[0].target.head
    assert serving("gemini-2.0-flash", found) == [("gemini", "openai_chat_google")]
    found, _ = scan(tmp_path, compatible + '[providers.gemini]\nbase_url = "https://x.example/v1beta"\n', {
        "GEMINI_API_KEY": "AIza-x"
    })  # fmt: skip
    assert [slot.row.wire for slot in found[:-1]] == ["openai_chat_google", "gemini"]
    assert addresses(found[1])[:2] == ("https://x.example", f"{path}generateContent")


@pytest.mark.promise("004-067", "004-068")
@pytest.mark.parametrize(("provider", "model"), [("deepseek", "deepseek-chat"), ("gemini", "gemini-2.0-flash")])
def test_the_documents_examples_answer_with_their_model(tmp_path: Path, provider: str, model: str) -> None:
    toml = f'[agent]\nmodel = "{model}"\n[[providers.openai_compat]]\nid = "{provider}"\napi_key = "AIza-x"\n'
    found, warnings = scan(tmp_path, toml)
    (slot, sends, _), *_ = Catalogue.load(settings(tmp_path, toml).default_model).resolve("auto", "auto", found)
    assert (slot.row.id, sends, warnings) == (provider, model, [])


@pytest.mark.promise("004-005", "004-086")
def test_the_documents_example_of_a_failover_gives_its_slots_in_its_order(tmp_path: Path) -> None:
    toml = """
[agent]
model = "claude-sonnet-4-6"
[providers.anthropic]
api_key = "sk-ant-..x"
[[providers.openai_compat]]
id      = "groq"
api_key = "gsk_..."
[providers.ollama]
base_url = "http://localhost:11434"
"""
    found, warnings = scan(tmp_path, toml)
    assert (ids(found), warnings) == (["anthropic", "groq", "ollama", "stub"], [])


def test_azures_models_are_deployments(tmp_path: Path) -> None:
    toml = """
[providers.azure_openai]
endpoint = "https://mine.openai.azure.com/"
api_key = "az"
deployment = ["gpt-4o", "house"]
"""
    found, warnings = scan(tmp_path, toml)
    slot = found[0]
    assert slot.target.for_model("house").path == b"/openai/deployments/house/chat/completions?api-version=2024-10-21"
    assert slot.target.origin == Origin("https", "mine.openai.azure.com", 443)
    assert b"\r\napi-key: az\r\n" in slot.target.head
    assert b"authorization" not in slot.target.head
    assert (slot.models, slot.default_model, warnings) == (("gpt-4o", "house"), "gpt-4o", [])
    assert serving("house", found) == [("azure_openai", "openai_chat")]
    environ = {"AZURE_OPENAI_ENDPOINT": "https://other.openai.azure.com", "AZURE_OPENAI_API_VERSION": "2025-01-01"}
    (slot, _), _ = scan(tmp_path, "", environ | {"AZURE_OPENAI_API_KEY": "k"})
    assert slot.target.path.endswith(b"?api-version=2025-01-01")


@pytest.mark.promise("004-099")
@pytest.mark.parametrize(
    ("toml", "warning"),
    [
        (COPILOT, "GitHub Copilot is skipped: there is no file {folder}/copilot_token.txt; run `dominion providers"),
        (QWEN, "Qwen (OAuth) is skipped: there is no file {folder}/qwen_credentials.json; run `dominion providers"),
        (QWEN.replace("qwen_credentials", "broken"), "Qwen (OAuth) is skipped: its credentials file is damaged."),
        (
            QWEN.replace("qwen_credentials", "open"),
            "Qwen (OAuth) is skipped: {folder}/open.json is open to others; run",
        ),
        (VERTEX, "Google Vertex AI is skipped: there is no file {folder}/key.json."),
        (VERTEX.replace("key.", "broken."), "Google Vertex AI is skipped: {folder}/broken.json is not a Google key"),
        (VERTEX.replace("key.", "user."), "Google Vertex AI is skipped: {folder}/user.json names no project; set"),
        ("[providers.vertex]\n", "Google Vertex AI is skipped: it has no key_file, and GOOGLE_APPLICATION_CREDENTIALS"),
        ("[providers.bedrock]\nprofile = 'half'\n", "AWS Bedrock is skipped: profile half has only one of"),
        ("[providers.gemini]\n", "Google Gemini is skipped: it has no api_key, and GOOGLE_AI_API_KEY or GEMINI"),
        ("[providers.azure_openai]\n", "Azure OpenAI is skipped: it has no endpoint, and AZURE_OPENAI_ENDPOINT"),
        ("[providers.azure_openai]\nendpoint = 'https://x'\n", "Azure OpenAI is skipped: it has no api_key, and AZ"),
        (
            "[providers.azure_openai]\nendpoint = 'https://x'\napi_key = 'k'\napi_version = '1/2'\n",
            "Azure OpenAI is skipped: '1/2' cannot be its api_version.",
        ),
    ],
)
def test_what_cannot_be_used_is_skipped_and_says_what_is_missing(
    tmp_path: Path, home: Path, toml: str, warning: str
) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "broken.json").chmod(0o600)
    (tmp_path / "open.json").write_text("{}")
    (tmp_path / "open.json").chmod(0o640)
    user = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}
    (tmp_path / "user.json").write_text(json.dumps(user))
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text("[half]\naws_access_key_id = AKID\n")
    found, warnings = scan(tmp_path, toml + '[providers.openai]\napi_key = "sk-x"\n')
    assert ids(found) == ["openai", "stub"]
    assert len(warnings) == 1
    assert warnings[0].startswith(warning.replace("{folder}", str(tmp_path)))


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("[providers.vertx]", "providers.vertx: unknown key; did you mean providers.vertex?"),
        ("[providers.vertex]\nkeyfile = 'x'", "providers.vertex.keyfile: unknown key; did you mean providers.vertex.k"),
        ("[providers.copilot]\nheaders = 'x'", "providers.copilot.headers: is not a table of texts"),
        ("[providers.anthropic]\noauth = 'perhaps'", "providers.anthropic.oauth: 'perhaps' is neither true nor false"),
        ("[[providers.openai_compat]]\nid = 'ollama'", 'providers.openai_compat[0].id: "ollama" is taken'),
    ],
)
def test_a_typo_stops_the_start(tmp_path: Path, toml: str, line: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        settings(tmp_path, toml)
    assert line in caught.value.message


def test_headers_of_copilot_are_a_table_or_json(tmp_path: Path) -> None:
    toml = '[providers.copilot.headers]\nEditor-Version = "mine/1"\n'
    assert settings(tmp_path, toml).copilot_headers == {"editor-version": "mine/1"}
    assert settings(tmp_path, toml, {"DOMINION_COPILOT_HEADERS": '{"X": "y"}'}).copilot_headers == {"x": "y"}


def test_awss_names_may_stand_in_the_env_file_and_no_secret_of_them_shows(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in AWS.items()))
    found, warnings = scan(tmp_path, "[providers.bedrock]\n")
    assert (ids(found), warnings) == (["bedrock", "bedrock", "stub"], [])
    assert "secret" not in repr(settings(tmp_path, "[providers.bedrock]\n").aws)
