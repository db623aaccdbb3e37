"""`doctor`: each thing that can be wrong is found and named with what to do, and nothing is changed by looking."""

import json
import os
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dominion.domain.records import HoldRecord
from dominion.stores.files.journal import FileJournal
from dominion.stores.sealing.keys import sealing_key
from dominion.stores.sql.database import Database
from tests.cli.conftest import Run
from tests.cli.test_whoami import QUOTA
from tests.client.scripted import Scripted, said

Findings = dict[str, dict[str, Any]]


@pytest.fixture
def port() -> str:
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


@pytest.fixture
def data(folder: Path) -> Path:
    """A data folder as a gateway leaves it."""
    made = folder / "data"
    made.mkdir(mode=0o700)
    database = Database.open(made / "gateway.db")
    database._close()
    sealing_key(made / "sealing.key")
    FileJournal(made / "journal").close()
    return made


def look(run: Run, port: str, **environ: str) -> tuple[int, Findings]:
    result = run("doctor", "--json", PORT=port, **environ)
    shown = json.loads(result.stdout)
    assert shown["wrong"] == sum(found["state"] == "wrong" for found in shown["findings"])
    return result.exit_code, {found["subject"]: found for found in shown["findings"]}


def test_an_empty_machine_has_nothing_wrong_and_nothing_is_made(run: Run, port: str, folder: Path) -> None:
    code, found = look(run, port)
    assert code == 0
    assert {subject: finding["state"] for subject, finding in found.items()} == {
        "configuration": "ok",
        "data folder": "note",
        "providers": "note",
        "port": "ok",
        "pm.config.yaml": "ok",
        "provider chosen": "ok",
    }
    assert list(folder.iterdir()) == []
    assert "Nothing is wrong." in run("doctor", PORT=port).stdout


def test_a_gateways_folder_in_order_is_ok_and_left_as_it_is(run: Run, port: str, data: Path) -> None:
    before = sorted((path, path.stat().st_size) for path in data.rglob("*"))
    code, found = look(run, port)
    states = {subject: found[subject]["state"] for subject in ("data folder", "database", "sealing key", "journal")}
    assert (code, set(states.values())) == (0, {"ok"})
    assert sorted((path, path.stat().st_size) for path in data.rglob("*")) == before


def test_a_database_server_is_asked_and_left_as_it_is(run: Run, port: str, data: Path, postgres_url: str) -> None:
    _, found = look(run, port, DATABASE_URL=postgres_url)
    assert (found["database"]["state"], "makes the tables" in found["database"]["text"]) == ("note", True)
    Database.open(postgres_url)._close()
    _, found = look(run, port, DATABASE_URL=postgres_url)
    assert (found["database"]["state"], found["sealing key"]["state"]) == ("ok", "ok")
    (data / "sealing.key").unlink()
    code, found = look(run, port, DATABASE_URL=postgres_url)
    assert (code, found["sealing key"]["state"]) == (1, "wrong")


def test_a_database_server_that_does_not_answer_is_named_without_its_password(run: Run, port: str, data: Path) -> None:
    code, found = look(run, port, DATABASE_URL=f"postgresql://me:hunter2@/gateway?host={data}")
    assert (code, found["database"]["state"], "hunter2" in str(found)) == (1, "wrong", False)


def test_rows_that_wait_in_the_journal_are_counted(run: Run, port: str, data: Path) -> None:
    journal = FileJournal(data / "journal")
    journal.append(HoldRecord("r1", 1, "u", "k", "p", "m", "native", 1, 1, 1))
    journal.close()
    assert "with 1 records" in look(run, port)[1]["journal"]["text"]


def spoil_database(data: Path) -> None:
    (data / "gateway.db").write_bytes(b"this is no database" * 100)


def lose_table(data: Path) -> None:
    connection = sqlite3.connect(data / "gateway.db")
    connection.execute("DROP TABLE alembic_version")
    connection.close()


def lose_key(data: Path) -> None:
    (data / "sealing.key").unlink()


def open_key(data: Path) -> None:
    (data / "sealing.key").chmod(0o644)


def damage_journal(data: Path) -> None:
    (data / "journal" / "journal-00000001.log.damaged").write_bytes(b"x")


@pytest.mark.parametrize(
    ("spoil", "subject", "text"),
    [
        (spoil_database, "database", "not a database"),
        (lose_table, "database", "alembic_version"),
        (lose_key, "sealing key", "missing"),
        (open_key, "sealing key", "open to others"),
        (damage_journal, "journal", "damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_wrong_in_the_folder_is_found(
    run: Run, port: str, data: Path, spoil: Any, subject: str, text: str
) -> None:
    spoil(data)
    code, found = look(run, port)
    assert (code, found[subject]["state"]) == (1, "wrong")
    assert text in found[subject]["text"]
    assert found[subject]["action"]


def test_a_sealing_key_in_another_place_is_looked_for_there(run: Run, port: str, data: Path) -> None:
    lose_key(data)
    code, found = look(run, port, DOMINION_SEALING_KEY_SOURCE="environment", DOMINION_SEALING_KEY="11" * 32)
    assert (code, found["sealing key"]["state"]) == (0, "ok")
    code, found = look(run, port, DOMINION_SEALING_KEY_SOURCE="environment")
    assert (code, found["sealing key"]["state"]) == (1, "wrong")
    assert "DOMINION_SEALING_KEY is not set" in found["sealing key"]["text"]


def test_a_typo_in_a_file_is_told_with_the_nearest_key(run: Run, port: str, folder: Path) -> None:
    (folder / "dominion.toml").write_text("[server]\nprot = 3100\n")
    (folder / "pm.config.yaml").write_text("gatewy: {}\n")
    code, found = look(run, port)
    assert code == 1
    assert "server.port" in found["configuration"]["text"]
    assert "gateway" in found["pm.config.yaml"]["text"]


def test_a_taken_port_is_wrong_unless_a_gateway_has_it(run: Run, server: Scripted) -> None:
    taken = server.url.rpartition(":")[2]
    code, found = look(run, taken)
    assert (code, found["port"]["state"]) == (1, "wrong")
    server.answers["GET /health"] = said({"status": "ok"})
    code, found = look(run, taken)
    assert (code, found["port"]["state"]) == (0, "ok")
    assert "A gateway runs" in found["port"]["text"]


def test_a_provider_is_asked_whether_its_key_is_good(run: Run, port: str, server: Scripted) -> None:
    environ = {"OPENAI_API_KEY": "sk-verysecret", "OPENAI_BASE_URL": server.url}
    server.answers["GET /v1/models"] = said({"data": []})
    assert look(run, port, **environ)[1]["provider openai"]["state"] == "ok"
    assert server.asked[0].headers["authorization"] == "Bearer sk-verysecret"
    refused = {"error": {"message": "Incorrect API key provided: sk-verysecret.", "code": "invalid_api_key"}}
    server.answers["GET /v1/models"] = said(refused, 401)
    result = run("doctor", PORT=port, **environ)
    assert result.exit_code == 1
    assert "WRONG  provider openai" in result.stdout
    assert "verysecret" not in result.output
    server.answers.clear()
    assert look(run, port, **environ)[1]["provider openai"]["state"] == "note"


def test_anthropic_is_asked_in_its_own_way(run: Run, port: str, server: Scripted) -> None:
    server.answers["GET /v1/models"] = said({"data": []})
    environ = {"ANTHROPIC_API_KEY": "sk-ant-verysecret", "ANTHROPIC_BASE_URL": server.url}
    assert look(run, port, **environ)[1]["provider anthropic"]["state"] == "ok"
    [asked] = server.asked
    assert (asked.headers["x-api-key"], asked.headers["anthropic-version"]) == ("sk-ant-verysecret", "2023-06-01")


@pytest.mark.parametrize(
    ("table", "path", "shown"),
    [
        ('gemini]\napi_key = "k"\nbase_url = "{url}"', "/v1beta/models", ("x-goog-api-key", "k")),
        ('azure_openai]\napi_key = "k"\nendpoint = "{url}"', "/openai/models", ("api-key", "k")),
        ('ollama]\nbase_url = "{url}"', "/api/tags", ("host", "")),
    ],
)
def test_native_providers_are_asked_where_their_lists_are(
    run: Run, port: str, folder: Path, server: Scripted, table: str, path: str, shown: tuple[str, str]
) -> None:
    server.answers[f"GET {path}"] = said({"models": []})
    (folder / "dominion.toml").write_text("[providers." + table.replace("{url}", server.url))
    provider = table.partition("]")[0]
    assert look(run, port)[1][f"provider {provider}"]["state"] == "ok"
    name, value = shown
    assert value in server.asked[0].headers[name]


def test_a_provider_that_only_a_completion_can_try_is_told_once(run: Run, port: str, folder: Path) -> None:
    (folder / "dominion.toml").write_text('[providers.bedrock]\nregion = "eu-west-1"\n')
    code, found = look(run, port, AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY="s")
    assert (code, found["provider bedrock"]["state"]) == (0, "note")


def test_the_gateway_is_asked_whether_it_knows_the_callers_key(run: Run, port: str, server: Scripted) -> None:
    environ = {"DOMINION_API_URL": server.url, "DOMINION_API_TOKEN": "dom_1_verysecret"}
    server.answers["GET /v1/llm/quota"] = said(QUOTA)
    code, found = look(run, port, **environ)
    assert (code, found["gateway"]["state"]) == (0, "ok")
    assert "Ada" in found["gateway"]["text"]
    server.answers["GET /v1/llm/quota"] = said({"error": "invalid_api_key", "message": "No such key."}, 401)
    result = run("doctor", PORT=port, **environ)
    assert result.exit_code == 1
    assert "No such key." in result.stdout
    assert "verysecret" not in result.output


def test_a_gateway_that_is_not_there_and_a_key_that_travels_in_the_open_are_wrong(run: Run, port: str) -> None:
    environ = {"DOMINION_API_URL": f"http://127.0.0.1:{port}", "DOMINION_API_TOKEN": "dom_1_s"}
    code, found = look(run, port, **environ)
    assert (code, found["gateway"]["state"]) == (1, "wrong")
    open_road = run("doctor", PORT=port, DOMINION_API_URL="http://gateway.invalid", DOMINION_API_TOKEN="dom_1_s")
    assert "unencrypted to gateway.invalid" in open_road.stdout


def test_a_provider_without_its_key_is_wrong(run: Run, port: str, folder: Path) -> None:
    (folder / "pm.config.yaml").write_text("provider: {default: openai}\n")
    code, found = look(run, port)
    assert (code, found["provider chosen"]["state"]) == (1, "wrong")
    assert "OPENAI_API_KEY" in found["provider chosen"]["text"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_wrong(run: Run, port: str, data: Path) -> None:
    data.chmod(0o500)
    assert look(run, port)[1]["data folder"]["state"] == "wrong"
    data.chmod(0o700)
