"""Providers registered at the running program: they answer at once, obey at once, and their keys never come back."""

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.listed import TEXT, Listed
from tests.emulators.natives import Natives
from tests.emulators.spoken import TEXT as NATIVE_TEXT
from tests.whole.program import COMMAND, Answer, Program

KEY = "CANARY-key-of-made-up-vX2Q"
OPEN: dict[str, Any] = {"DOMINION_EGRESS_ALLOW": "127.0.0.0/8", "UNPRICED": "allow"}
PROVIDERS = "/admin/providers"


@pytest.fixture
def made_up() -> Iterator[Listed]:
    """A service that no catalogue knows."""
    with Listed() as running:
        running.service.key = KEY
        yield running


@pytest.fixture
def gateway(folder: Path) -> Iterator[Program]:
    """A gateway without providers, whose operator lets registered ones be on this machine."""
    with Program(folder, **OPEN) as running:
        yield running


def register(program: Program, made_up: Listed, **fields: Any) -> Any:
    new = {"id": "made-up", "base_url": made_up.url, "default_model": "m-1", "api_key": KEY, **fields}
    return program.admin("POST", PROVIDERS, new)


def refused(program: Program, method: str, path: str, body: Any = None) -> Answer:
    answer = program.ask(method, path, body, token=program.admin_token)
    assert answer.status >= 400
    return answer


def said(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return str(answer.json["choices"][0]["message"]["content"])


def actions(program: Program, subject: str = "provider:made-up") -> list[str]:
    return [entry["action"] for entry in program.admin("GET", f"/admin/audit?subject={subject}")["entries"]]


@pytest.mark.promise("003-061", "003-062", "003-065", "003-067", "003-068", "003-102", "003-104", "003-237")
def test_a_registered_provider_answers_the_next_request_and_obeys_every_change(
    gateway: Program, made_up: Listed
) -> None:
    _, key = gateway.user()
    before = gateway.chat(key, "made-up/m-1")
    assert before.status == 404
    row = register(gateway, made_up)
    assert (row["kind"], row["source"], row["enabled"], row["configured"]) == ("custom", "registry", True, True)
    answer = gateway.chat(key, "made-up/m-1")
    assert (said(answer), answer.headers["x-dominion-provider"]) == (TEXT, "made-up")
    assert said(gateway.chat(key, "m-1")) == TEXT  # by the bare name of its default model
    assert said(gateway.chat(key, "auto")) == TEXT
    assert gateway.admin("POST", f"{PROVIDERS}/made-up/disable")["enabled"] is False
    assert gateway.chat(key, "made-up/m-1").status == 404
    assert gateway.admin("POST", f"{PROVIDERS}/made-up/enable")["enabled"] is True
    assert said(gateway.chat(key, "made-up/m-1")) == TEXT
    assert gateway.admin("PATCH", f"{PROVIDERS}/made-up", {"models": ["m-2"]})["models"] == ["m-2"]
    assert said(gateway.chat(key, "m-2")) == TEXT
    assert gateway.admin("DELETE", f"{PROVIDERS}/made-up") == {"id": "made-up", "removed": True}
    assert gateway.chat(key, "made-up/m-1").status == 404
    assert [row["id"] for row in gateway.admin("GET", PROVIDERS)["providers"]] == ["stub"]


@pytest.mark.promise("003-010", "003-014", "003-015", "003-016", "003-202", "003-203", "003-036", "003-037", "003-038")
@pytest.mark.promise("003-031", "003-032", "003-033", "003-034", "003-035", "003-039")
def test_a_registered_provider_takes_a_whole_request_and_answers_whole_and_in_a_stream(
    gateway: Program, made_up: Listed
) -> None:
    user_id, key = gateway.user()
    assert register(gateway, made_up)["default_model"] == "m-1"
    asked = {"model": "made-up/m-1", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5}
    answer = gateway.ask("POST", "/v1/llm/complete", {**asked, "maxTokens": 9}, token=key).json
    assert answer["content"] == TEXT
    assert (answer["provider"], answer["model"], answer["finish_reason"]) == ("made-up", "m-1", "stop")
    assert answer["usage"].items() >= {"promptTokens": 4, "completionTokens": 3, "totalTokens": 7}.items()
    sent = json.loads(made_up.service.body)
    assert (sent["model"], sent["messages"], sent["temperature"]) == ("m-1", asked["messages"], 0.5)
    assert 9 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    body = gateway.ask("POST", "/v1/chat/completions", {**asked, "stream": True}, token=key).body.decode()
    chunks = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert text.strip() == TEXT
    assert gateway.usage(user_id)["requests"] == 2


@pytest.mark.promise("003-101")
@pytest.mark.parametrize(
    ("provider", "key", "model"),
    [
        ("gemini", "AIza-canary", "gemini-2.5-flash"),
        ("anthropic", "sk-ant-canary", "claude-sonnet-4-5"),
        ("openai", "sk-canary", "gpt-4o"),
        ("azure_openai", "azure-canary", "deployed"),
        ("ollama", "", "llama3.1"),
    ],
)
def test_a_native_provider_is_registered_with_its_key_and_speaks_its_own_api(
    folder: Path, tmp_path: Path, provider: str, key: str, model: str
) -> None:
    with Natives(tmp_path) as natives, Program(folder, **OPEN) as program:
        _, caller = program.user()
        fields = {"base_url": natives.url(provider), "default_model": model, "api_key": key}
        row = program.admin("POST", PROVIDERS, {"id": provider, **fields})
        assert (row["kind"], row["configured"]) == ("native", True)
        assert said(program.chat(caller, f"{provider}/{model}")) == NATIVE_TEXT
        body = program.chat(caller, f"{provider}/{model}", stream=True).body.decode()
    chunks = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    assert (
        "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]) == NATIVE_TEXT
    )


@pytest.mark.promise("003-208", "003-221", "003-190", "003-191", "003-192", "003-193", "003-194", "003-195")
def test_every_change_leaves_an_entry_with_the_key_masked(gateway: Program, made_up: Listed) -> None:
    register(gateway, made_up)
    gateway.admin("PUT", f"{PROVIDERS}/made-up/credentials", {"api_key": f"another-{KEY}"})
    gateway.admin("POST", f"{PROVIDERS}/made-up/disable")
    gateway.admin("POST", f"{PROVIDERS}/made-up/disable")  # nothing changes
    gateway.admin("POST", f"{PROVIDERS}/made-up/enable")
    gateway.admin("PATCH", f"{PROVIDERS}/made-up", {"default_model": "m-2", "name": "Made up"})
    gateway.admin("DELETE", f"{PROVIDERS}/made-up/credentials")
    gateway.admin("DELETE", f"{PROVIDERS}/made-up")
    entries = gateway.admin("GET", "/admin/audit?subject=provider:made-up")["entries"]
    assert [entry["action"] for entry in entries] == [
        "provider_added",
        "credentials_added",
        "credentials_updated",
        "provider_disabled",
        "provider_enabled",
        "model_changed",
        "provider_changed",
        "credentials_removed",
        "provider_removed",
    ]
    assert entries[1]["after"] == {"api_key": "...vX2Q", "origin": made_up.url}
    assert (entries[2]["before"], entries[2]["after"]) == (entries[1]["after"], entries[1]["after"])
    assert (entries[5]["before"], entries[5]["after"]) == ({"default_model": "m-1"}, {"default_model": "m-2"})
    assert {(entry["actor"], entry["subject"]) for entry in entries} == {("admin", "provider:made-up")}
    assert all(entry["request_id"] and entry["hash"] for entry in entries)
    page = gateway.admin("GET", "/admin/audit?after=2&limit=1")
    assert ([entry["number"] for entry in page["entries"]], page["next"]) == ([3], 3)


@pytest.mark.promise("003-020", "003-045")
def test_a_key_goes_in_and_never_comes_out(folder: Path, made_up: Listed) -> None:
    heard = b""
    with Program(folder, LOG_LEVEL="debug", **OPEN) as program:
        register(program, made_up)
        for method, path in (
            ("GET", PROVIDERS),
            ("GET", f"{PROVIDERS}/made-up"),
            ("POST", f"{PROVIDERS}/made-up/validate"),
            ("GET", f"{PROVIDERS}/made-up/models"),
            ("GET", "/admin/audit"),
            ("GET", "/metrics"),
        ):
            heard += program.ask(method, path, token=program.admin_token).body
        for wrong in (f"{KEY} with a space", f"{KEY}\n\u00e9"):
            body = {"api_key": wrong}
            heard += refused(program, "PUT", f"{PROVIDERS}/made-up/credentials", body).body
        made_up.service.state = "revoked"
        heard += program.ask("POST", f"{PROVIDERS}/made-up/validate", token=program.admin_token).body
    assert b"CANARY" not in heard
    assert "CANARY" not in "".join(program.lines)
    assert made_up.service.asked[0] == ("GET", "/v1/models", f"Bearer {KEY}")
    for file in (folder / "data").rglob("*"):
        if file.is_file():
            assert b"CANARY" not in file.read_bytes(), file
    with sqlite3.connect(folder / "data" / "gateway.db") as database:
        assert database.execute("SELECT count(*) FROM audit_log WHERE actor = 'admin'").fetchone()[0] == 2


@pytest.mark.promise("003-011", "003-019", "003-021", "003-022", "003-023", "003-059", "003-060", "003-063", "003-064")
def test_registered_providers_outlive_a_restart_and_come_after_those_of_the_file(folder: Path, made_up: Listed) -> None:
    toml = f'[[providers.openai_compat]]\nid = "of-file"\nbase_url = "{made_up.url}"\nmodel = "m-9"\napi_key = "k"\n'
    program = Program(folder, toml=toml, **OPEN)
    with program:
        register(program, made_up, models=["m-1", "m-2"])
        known = [row["id"] for row in program.admin("GET", PROVIDERS)["providers"]]
        of_file = program.admin("GET", f"{PROVIDERS}/of-file")
        assert (of_file["source"], of_file["enabled"], of_file["default_model"]) == ("file", True, "m-9")
        for method, path, body in (
            ("PATCH", "of-file", {"name": "x"}),
            ("PUT", "of-file/credentials", {"api_key": KEY}),
            ("POST", "of-file/disable", None),
            ("DELETE", "stub/credentials", None),
        ):
            assert refused(program, method, f"{PROVIDERS}/{path}", body).status == 409
        assert refused(program, "POST", PROVIDERS, {"id": "of-file"}).status == 409
        assert refused(program, "POST", PROVIDERS, {"id": "made-up", "base_url": made_up.url}).status == 409
        every = program.admin("GET", f"{PROVIDERS}?all=true")["providers"]
        program.admin("POST", f"{PROVIDERS}/made-up/disable")
        enabled = program.admin("GET", f"{PROVIDERS}?enabled=true")["providers"]
        program.admin("POST", f"{PROVIDERS}/made-up/enable")
    assert [row["id"] for row in enabled] == ["of-file", "stub"]
    assert known == ["of-file", "made-up", "stub"]
    assert [row["id"] for row in every][:3] == known
    fresh = {row["id"]: row for row in every}
    assert (fresh["groq"]["kind"], fresh["groq"]["configured"], fresh["groq"]["source"]) == ("compatible", False, None)
    assert (fresh["openai"]["kind"], fresh["openai"]["default_model"]) == ("native", "gpt-4o")
    assert len(fresh) == 41 + 2 + 1  # the catalogue, two more, and the stub
    with program:
        _, key = program.user()
        assert said(program.chat(key, "made-up/m-2")) == TEXT
        row = program.admin("GET", f"{PROVIDERS}/made-up")
        assert (row["key"], row["models"], row["configured"]) == ("...vX2Q", ["m-1", "m-2"], True)


def test_a_second_process_sees_a_change_within_two_seconds(folder: Path, made_up: Listed) -> None:
    with Program(folder, **OPEN) as first, Program(folder.with_name("second"), **OPEN) as other:
        other.stop()
        shared = {"SQLITE_PATH": str(folder / "data" / "gateway.db")}
        (folder.with_name("second") / "data" / "sealing.key").write_bytes(
            (folder / "data" / "sealing.key").read_bytes()
        )
        other.environment |= shared
        other.start()
        register(first, made_up)
        began = time.monotonic()
        while "made-up" not in other.ask("GET", "/health/ready").json["providers"]:
            assert time.monotonic() - began < 2
        _, key = other.user()
        assert said(other.chat(key, "made-up/m-1")) == TEXT
        first.admin("DELETE", f"{PROVIDERS}/made-up")
        began = time.monotonic()
        while other.chat(key, "made-up/m-1").status == 200:
            assert time.monotonic() - began < 2


# --- what is refused


@pytest.mark.promise("003-072")
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"id": "Made Up"}, "id"),
        ({"id": "auto"}, "id"),
        ({"id": "m", "wire": "morse", "base_url": "https://llm.example"}, "dialect"),
        ({"id": "m", "scheme": "morse", "base_url": "https://llm.example"}, "scheme"),
        ({"id": "m"}, "base URL"),
        ({"id": "m", "base_url": "ftp://llm.example"}, "http"),
        ({"id": "m", "base_url": "https://a:b@llm.example"}, "user name"),
        ({"id": "m", "base_url": "https://llm.example", "chat_path": "/v1/{secret}"}, "chat_path"),
        ({"id": "m", "base_url": "http://169.254.169.254"}, "private"),
        ({"id": "m", "base_url": "https://llm.example", "models": ["a\nb"]}, "printable"),
        ({"id": "m", "base_url": "https://llm.example", "default_model": "mod\u00e8le"}, "ASCII"),
        ({"id": "m", "base_url": "https://llm.example", "scheme": "per_request"}, "proves each request"),
        ({"id": "m", "base_url": "https://llm.example", "scheme": "anthropic_oauth"}, "OAuth"),
        ({"id": "m", "base_url": "https://llm.example", "name": "x" * 2000}, "1000"),
        ({"id": "m", "base_url": "https://llm.example", "api_key": "k" * 9000}, "8000"),
        ({"id": "bedrock"}, "[providers.bedrock]"),
        ({"id": "vertex"}, "[providers.vertex]"),
        ({"id": "anthropic", "api_key": "sk-ant-oat01-0123456789"}, "OAuth"),
        ({"id": "m", "colour": "blue"}, "colour"),
    ],
)
def test_what_cannot_be_registered_is_said_and_leaves_nothing(
    program: Program, fields: dict[str, Any], named: str
) -> None:
    answer = refused(program, "POST", PROVIDERS, fields)
    assert answer.status == 400, answer.body
    assert named in answer.json["message"]
    assert answer.json["action"]
    assert [row["id"] for row in program.admin("GET", PROVIDERS)["providers"]] == ["stub"]


def test_this_machine_is_out_of_reach_unless_the_operator_says_so(program: Program, made_up: Listed) -> None:
    answer = refused(program, "POST", PROVIDERS, {"id": "made-up", "base_url": made_up.url})
    assert "egress_allow" in answer.json["action"]
    assert refused(program, "POST", PROVIDERS, {"id": "ollama"}).status == 400
    assert made_up.service.asked == []


def test_a_key_is_bound_to_its_address(gateway: Program, made_up: Listed) -> None:
    _, key = gateway.user()
    register(gateway, made_up)
    with Listed() as elsewhere:
        row = gateway.admin("PATCH", f"{PROVIDERS}/made-up", {"base_url": elsewhere.url})
        assert (row["configured"], row["key"]) == (False, None)
        assert gateway.chat(key, "made-up/m-1").status == 404
        gateway.admin("POST", f"{PROVIDERS}/made-up/validate")
        assert elsewhere.service.asked == []
    assert actions(gateway) == ["provider_added", "credentials_added", "provider_changed", "credentials_removed"]


def test_a_mistyped_provider_gets_the_nearest_one(program: Program) -> None:
    for path in (f"{PROVIDERS}/opnai", f"{PROVIDERS}/opnai/models"):
        answer = refused(program, "GET", path)
        assert (answer.status, "openai" in answer.json["message"]) == (404, True)
    assert refused(program, "POST", f"{PROVIDERS}/openai/disable").json["action"] == "Add it: POST /admin/providers"


# --- validation


@pytest.mark.promise("003-008", "003-012", "003-066", "003-100", "003-112", "003-113", "003-200", "003-231", "003-233")
def test_validation_asks_the_provider_and_says_what_specification_003_says(gateway: Program, made_up: Listed) -> None:
    register(gateway, made_up, name="OpenAI")
    service, validate = made_up.service, f"{PROVIDERS}/made-up/validate"
    found = gateway.admin("POST", validate)
    assert (found["valid"], found["took_ms"] < 5000) == (True, True)
    assert service.asked == [("GET", "/v1/models", f"Bearer {KEY}"), ("GET", "/v1/models", "")]
    shown = gateway.admin("GET", f"{PROVIDERS}/made-up")
    assert (shown["problem"], shown["validated_at"]) == (None, found["validated_at"])
    assert actions(gateway) == ["provider_added", "credentials_added"]
    service.state = "revoked"
    found = gateway.admin("POST", validate)
    assert found["message"] == "Your OpenAI API key is invalid. Please check and try again."
    assert (found["valid"], found["action"]) == (False, "Re-enter the key.")
    assert gateway.admin("GET", f"{PROVIDERS}/made-up")["problem"] == found["message"]


@pytest.mark.promise("003-165", "003-204")
def test_a_provider_over_its_rate_limit_is_validated_again_by_itself(gateway: Program, made_up: Listed) -> None:
    register(gateway, made_up, name="OpenAI")
    made_up.service.state, made_up.service.hint = "limited", 2
    found = gateway.admin("POST", f"{PROVIDERS}/made-up/validate")
    assert found["message"] == "OpenAI rate limit hit. Retrying in 2 seconds..."
    made_up.service.state = "well"
    began = time.monotonic()
    while gateway.admin("GET", f"{PROVIDERS}/made-up")["problem"] is not None:
        assert time.monotonic() - began < 10
    assert time.monotonic() - began > 1


@pytest.mark.promise("003-013", "003-069", "003-114", "003-115", "003-201")
def test_the_models_of_a_provider_are_those_that_it_lists_its_default_first(gateway: Program, made_up: Listed) -> None:
    register(gateway, made_up, default_model="m-2")
    found = gateway.admin("GET", f"{PROVIDERS}/made-up/models")
    assert (found["source"], found["note"]) == ("provider", None)
    assert [(row["id"], row["default"]) for row in found["models"]] == [("m-2", True), ("m-1", False)]
    made_up.service.state = "down"
    found = gateway.admin("GET", f"{PROVIDERS}/made-up/models")
    assert (found["source"], [row["id"] for row in found["models"]]) == ("catalogue", ["m-2"])
    assert found["note"]


@pytest.mark.promise("003-228")
def test_one_command_registers_a_provider_well_within_two_minutes(gateway: Program, made_up: Listed) -> None:
    began = time.monotonic()
    words = ["providers", "add", "made-up", "--base-url", f"{made_up.url}/v1", "--default-model", "m-1"]
    environment = gateway.environment | {"DOMINION_API_URL": gateway.url, "HOME": str(gateway.folder)}
    run = subprocess.run(
        [*COMMAND, *words], input=KEY, env=environment, cwd=gateway.folder, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(
        "made-up is registered and can be asked from now on.\nThe provider answers to its key."
    )
    _, key = gateway.user()
    assert said(gateway.chat(key, "made-up/m-1")) == TEXT
    assert time.monotonic() - began < 120


@pytest.mark.promise("003-069", "003-070", "003-093", "003-094", "003-097")
def test_a_provider_that_nobody_has_configured_is_shown_with_the_models_that_are_known_of_it(program: Program) -> None:
    row = program.admin("GET", f"{PROVIDERS}/gemini")
    assert (row["name"], row["kind"], row["configured"]) == ("Google Gemini", "native", False)
    found = program.admin("GET", f"{PROVIDERS}/gemini/models")
    known = {model["id"]: model for model in found["models"]}
    flash = known["gemini-2.5-flash"]
    assert (found["source"], flash["default"]) == ("catalogue", True)
    assert (flash["name"], flash["supports_streaming"]) == ("Gemini 2.5 Flash", True)
    assert (flash["context_window"], flash["max_output"]) == (1_048_576, 65_536)
    assert flash["input_usd_per_million"] is not None
    assert flash["output_usd_per_million"] is not None


def test_the_registry_is_in_the_description_of_all_routes(program: Program) -> None:
    document = program.ask("GET", "/openapi.json").json
    assert {"get", "patch", "delete"} <= set(document["paths"]["/admin/providers/{id}"])
    body = document["paths"]["/admin/providers/{id}/credentials"]["put"]["requestBody"]
    assert "NewCredentials" in json.dumps(body)
