"""Every kind of secret is planted in a gateway that logs all it can: it is seen where it must be, and nowhere else."""

import base64
import itertools
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import redis
from sqlalchemy import make_url

from dominion.stores.postgres.link import shown
from tests.emulators.echo import BROKEN, STATUSES
from tests.emulators.natives import NATIVES
from tests.servers.programs import Postgres, Valkey
from tests.whole import planted as at
from tests.whole.canaries import found
from tests.whole.canary_run import KEPT, Ear, keep_heard, search
from tests.whole.planted import House, house_in, secrets_of

TURNS = [{"role": "user", "content": "Hello!"}]
HEADER = "x-dominion-provider-key"
MUST = {
    ("ANTHROPIC_API_KEY", "sent to anthropic"),
    ("OPENAI_API_KEY", "sent to openai"),
    ("GEMINI_API_KEY", "sent to gemini"),
    ("AZURE_OPENAI_API_KEY", "sent to azure_openai"),
    ("GitHub's token", "sent to sign-ins"),
    ("GitHub's token", "copilot_token.txt"),
    ("Copilot's token", "sent to copilot"),
    ("Qwen's first token", "sent to sign-ins"),
    ("Qwen's token", "sent to qwen_oauth"),
    ("Qwen's token", "qwen.json"),
    ("Google's token", "sent to vertex"),
    ("keyed", "sent to keyed"),
    ("registered", "sent to keyed"),
    ("echo", "sent to echo"),
    ("hook", "sent to echo"),
    ("own", "sent to keyed"),
    ("own anew", "sent to keyed"),
    ("own bad", "sent to keyed"),
    ("own at echo", "sent to echo"),
    ("passed", "sent to keyed"),
    ("passed", "sent to echo"),
}
"""Where they are seen, at any gateway."""
TABLES = "select table_name from information_schema.tables where table_schema = 'public'"
DOORS: dict[str, dict[str, Any]] = {
    "/v1/llm/complete": {"messages": TURNS},
    "/v1/chat/completions": {"messages": TURNS},
    "/v1/responses": {"input": "Hello!"},
    "/v1/messages": {"messages": TURNS, "max_tokens": 50},
    "/v1/completions": {"prompt": "Hello!"},
}
TABLES = "select table_name from information_schema.tables where table_schema = 'public'"


def anger(house: House, **headers: str) -> None:
    """Every fault of a provider that repeats what it was shown."""
    for how, (door, fields) in itertools.product((*STATUSES, *BROKEN), DOORS.items()):
        asked = {**fields, "model": f"echo/{how}", "max_tokens": 50}
        for stream in (False, True) if how in BROKEN else (False,):
            house.ask("POST", door, asked | {"stream": stream}, house.key, **headers)


def talk(house: House) -> None:
    """Every provider at every door, and every fault of those who repeat what they were shown."""
    models = [f"{native.provider}/{native.model}m" for native in NATIVES if native.provider != "ollama"]
    models += ["keyed/m-1", "behind/m", "registered/m-1", "auto", "no-such-model"]
    for number, (model, (door, fields)) in enumerate(itertools.product(models, DOORS.items())):
        asked = {**fields, "model": model, "stream": bool(number % 2), "max_tokens": 50}
        house.ask("POST", door, asked, **house.bearer)
    for passed in ({}, {HEADER: at.PASSED}):
        anger(house, **passed)
    house.ask("POST", "/v1/embeddings", {"model": "echo/400", "input": "Hello!"}, **house.bearer)
    house.ask("POST", "/v1/messages/count_tokens", {**DOORS["/v1/messages"], "model": "echo/400"}, **house.bearer)
    for path in ("keyed/m-1:generateContent", "gemini-m:countTokens", "echo%2F400:streamGenerateContent"):
        house.ask("POST", f"/v1beta/models/{path}", {"contents": [{"parts": [{"text": "Hello!"}]}]}, **house.bearer)
    house.ask("POST", "/v1/llm/quote", {"messages": TURNS, "models": ["gpt-m"]}, **house.bearer)


def bring_own_keys(house: House) -> None:
    """Keys of a caller's own: kept, changed, refused, passed in every way, and wrong."""
    mine, theirs = "/v1/llm/credentials", f"/admin/users/{house.user_id}/credentials"
    asked = {"messages": TURNS, "model": "keyed/m-1"}
    for provider, plain in (("keyed", at.BAD), ("keyed", at.OWN), ("echo", at.ECHO_OWN), ("nobody", at.OWN)):
        house.ask("PUT", f"{mine}/{provider}", {"api_key": plain}, **house.bearer)
        house.ask("POST", "/v1/llm/complete", asked, **house.bearer)
    house.admin("PUT", f"{theirs}/keyed", {"api_key": at.ANEW})
    house.ask("POST", "/v1/llm/complete", asked, **house.bearer)
    anger(house)
    for passed in ({"apiKey": at.PASSED}, {"apiKey": [at.PASSED]}, {"api_key": at.PASSED}, {"apiKey": f"{at.OWN} x"}):
        house.ask("POST", "/v1/llm/complete", asked | passed, **house.bearer)
    for value in (at.PASSED, f"nobody {at.PASSED}", f"keyed {at.PASSED}, echo {at.PASSED}", at.PASSED * 500):
        house.ask("POST", "/v1/chat/completions", asked, house.key, **{HEADER: value})
    house.ask("GET", mine, **house.bearer)
    house.admin("GET", theirs)
    house.ask("DELETE", f"{mine}/echo", **house.bearer)


def knock(house: House) -> None:
    """Wrong and misplaced credentials, and bodies that are none."""
    key, admin = house.key, house.program.admin_token
    for token in (f"{key}x", key[:-1], admin, f"Bearer {key}", "dom_0_0"):
        house.ask("POST", "/v1/chat/completions", {"messages": TURNS}, token)
        house.ask("GET", "/admin/users", token=f"{token}x")
    house.ask("GET", f"/v1/models?key={key}")
    house.ask("POST", f"/v1beta/models/m:generateContent?key={key}", {"contents": []})
    house.ask("POST", f"/v1/llm/complete?token={admin}", {key: admin})
    for path in (f"/admin/users/{key}", f"/nowhere/{admin}"):  # who writes it into a path reads it in the answer
        house.program.ask("GET", path, token=admin)
    for name in ("x_api_key", "x_goog_api_key", "api_key", "cookie"):
        house.ask("POST", "/v1/messages", {"messages": TURNS, "model": "stub/echo"}, **{name: key})
    for body in (f'{{"apiKey": "{at.PASSED}"'.encode(), {"model": 5, "apiKey": at.PASSED}, [at.PASSED]):
        house.ask("POST", "/v1/llm/complete", body, **house.bearer)
    house.admin("PUT", "/admin/providers/registered/credentials", {"api_key": [at.REGISTERED]})
    house.admin("POST", "/admin/providers", {"id": "Wrong Id", "base_url": "x", "api_key": at.REGISTERED})


def look_at_all(house: House) -> None:
    """Every page of the operator's and of the caller's that takes no name, and those of what was made here."""
    paths = house.ask("GET", "/openapi.json").json["paths"]
    for path in (path for path, methods in paths.items() if "get" in methods and "{" not in path):
        house.admin("GET", path)
        house.ask("GET", path, **house.bearer)
    house.admin("POST", "/admin/alerts/test")
    for path in (f"users/{house.user_id}", "providers/registered", "providers/registered/models", "providers/echo"):
        house.admin("GET", f"/admin/{path}")
    house.ask("GET", "/metrics")


def register(house: House) -> None:
    """A provider through the API, with a wrong key first."""
    made_up = {"id": "registered", "base_url": house.sent_to["keyed"].urls[0], "default_model": "m-1"}
    house.admin("POST", "/admin/providers", made_up | {"api_key": at.BAD})
    for plain in (at.BAD, at.REGISTERED):
        house.admin("PUT", "/admin/providers/registered/credentials", {"api_key": plain})
        house.admin("POST", "/admin/providers/registered/validate")
    house.admin("POST", "/admin/providers/echo/validate")
    house.admin("PUT", "/admin/budgets", {"scope": "provider:echo", "daily_usd": 5})


def command(house: House) -> None:
    """What operators and callers do by commands."""
    for words in ("doctor", "whoami", "providers show registered"):
        house.command(*words.split())
    house.command("ask", "--model", "echo/400", "Hello!")
    house.command("credentials", "set", "keyed", said=at.ANEW)
    house.command("providers", "set-key", "registered", said=at.REGISTERED)
    for words in ("sealing rotate", "audit verify", "backup without", "credentials list"):
        house.command(*words.split())


def live(house: House) -> None:
    """All of it."""
    register(house)
    command(house)
    bring_own_keys(house)
    talk(house)
    knock(house)
    look_at_all(house)


@pytest.mark.promise("001-061", "001-062", "001-063", "003-181", "003-182", "003-183")
def test_secrets_are_seen_where_they_must_be_and_nowhere_else(folder: Path) -> None:
    with house_in(folder, DOMINION_SEALING_KEY="", ADMIN_TOKEN="") as house:
        live(house)
        house.command("backup", "--with-key", "with")
        house.program.kill()  # with the journal and the database's own log still on the disk
        sealing = bytes.fromhex((folder / "data" / "sealing.key").read_text().partition("\n")[0].rpartition(":")[2])
        seen = found(secrets_of(house, sealing=sealing), house.places())
    kept = {("sealing", place) for place in ("data/sealing.key", "with")}
    printed = {("ADMIN_TOKEN", "the log"), ("first caller's key", "the log")}
    assert seen == MUST | kept | printed
    log = "".join(house.program.lines)
    assert (log.count(house.program.admin_token), log.count(house.program.key)) == (1, 2)  # and a command to copy


def test_the_control_that_logs_what_it_sends_is_found_out(folder: Path) -> None:
    leaky = (sys.executable, "-m", "tests.whole.leaky")
    with house_in(folder, leaky, PYTHONPATH=str(Path(__file__).parents[2]), DOMINION_SEALING_KEY="") as house:
        asked = {"model": "echo/400", "messages": TURNS}
        house.ask("POST", "/v1/chat/completions", asked, **house.bearer)
        house.ask("POST", "/v1/chat/completions", asked, house.key, **{HEADER: at.PASSED})
        seen = found(secrets_of(house), house.places())
    assert {("echo", "the log"), ("passed", "the log")} <= seen


def test_a_database_is_shown_without_its_passwords_wherever_they_stand_in_the_address() -> None:
    url = "postgresql://somebody:secret@/name?host=/run&password=secret&sslpassword=secret"
    assert shown(make_url(url)) == "postgresql://somebody:***@/name?host=%2Frun"


@pytest.mark.parametrize("before", range(3))
def test_a_secret_is_found_in_every_form_and_wherever_it_begins(before: int) -> None:
    secret = "s/+cret?of-40 chars"
    encoded = base64.b64encode(b"x" * before + secret.encode())
    forms = {
        "whole": secret.encode(),
        "its beginning": b"..." + secret[:12].encode() + b"...",
        "URL": b"x=" + quote(secret, safe="").encode(),
        "hex": secret.encode().hex().encode(),
        "HEX": secret.encode().hex().upper().encode(),
        "Base64": encoded,
        "Base64 for URLs": encoded.translate(bytes.maketrans(b"+/", b"-_")),
    }
    assert found({"it": secret}, forms) == {("it", form) for form in forms}
    assert found({"it": secret}, {"less": secret[:11].encode(), "its end": secret[-11:].encode()}) == set()


def test_the_run_with_planted_secrets_finds_them_wherever_they_were_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, folder, key = tmp_path / "kept", tmp_path / "program", "dom_0123_" + "k" * 43
    kept.mkdir()
    folder.mkdir()
    monkeypatch.setenv(KEPT, str(kept))
    (folder / "dominion.toml").write_text(f'api_key = "{at.KEYED}"')
    ear = Ear()
    ear.hear("/admin/keys", b"{}", {}, f'{{"api_key": "{key}"}}'.encode())
    ear.hear("/v1/x", b'{"apiKey": "%b"}' % at.PASSED.encode(), {HEADER: f"a {at.OWN}"}, b"Hello!")
    ear.keep(folder, {"ADMIN_TOKEN": at.ADMIN}, ["all is well", f"export DOMINION_API_TOKEN={key}"])
    assert search(kept)[0] == []
    ear.hear("/v1/x", None, {}, f"You said {at.PASSED}".encode())
    ear.keep(folder, {"ADMIN_TOKEN": at.ADMIN}, [f"the key {key}", f"tells {at.ADMIN}"])
    (folder / "gateway.db").write_bytes(b"x" + at.OWN.encode().hex().encode() + at.KEYED.encode())
    keep_heard("http://origin", [("/", {"authorization": key}, b"")])
    assert sorted(line.partition(": ")[2].partition(" characters ")[2] for line in search(kept)[0]) == [
        "in answers",
        "in gateway.db",
        "in gateway.db",
        "in the log",
        "in the log",
        "sent to http://origin",
    ]


def with_passwords(postgres: Postgres, valkey: Valkey) -> dict[str, str]:
    """Both take any password from here on, or want theirs; the settings that name them."""
    with redis.Redis.from_url(valkey.url) as connection:
        connection.config_set("requirepass", at.REDIS)
    url = make_url(postgres.url("postgres")).set(password=at.DATABASE)
    return {
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "REDIS_URL": f"unix://:{quote(at.REDIS, safe='')}@{valkey.socket}",
    }


def kept_by(postgres: Postgres, valkey: Valkey) -> dict[str, bytes]:
    """Every row of every table, and every value of the cache; after it, the cache knows another password."""
    seen = {}
    with psycopg.connect(postgres.url("postgres")) as connection:
        for (table,) in connection.execute(TABLES).fetchall():
            with connection.cursor().copy(f'copy "{table}" to stdout') as rows:
                seen[f"table {table}"] = b"".join(bytes(row) for row in rows)
    with redis.Redis(unix_socket_path=str(valkey.socket), password=at.REDIS) as cache:
        seen["the cache"] = b"".join(name + (cache.dump(name) or b"") for name in cache.scan_iter())
        cache.config_set("requirepass", "another")
        cache.client_kill_filter(skipme=False)
    return seen


def test_nor_on_servers_of_which_one_fails_after_the_other(
    folder: Path, own_postgres: Postgres, own_valkey: Valkey
) -> None:
    shared = with_passwords(own_postgres, own_valkey)
    given = {"ADMIN_TOKEN": at.ADMIN, "DOMINION_SEALING_KEY_SOURCE": "environment", "DOMINION_SEALING_KEY": at.SEALING}
    with house_in(folder, **given, **shared) as house:
        register(house)
        bring_own_keys(house)
        talk(house)
        house.command("sealing", "reseal")
        kept = kept_by(own_postgres, own_valkey)
        assert house.user_id.encode() in b"".join(kept.values())
        own_postgres.stop()
        house.ask("POST", "/v1/chat/completions", {"messages": TURNS, "model": "stub/echo"}, **house.bearer)
        for path in ("/v1/llm/quota", "/admin/users", "/health/ready", "/metrics"):
            house.admin("GET", path)
        for words in ("doctor", "backup it"):
            house.command(*words.split())
        house.program.wait_for_line("the cache server does not answer")
        house.program.kill()
        with pytest.raises(AssertionError, match="does not answer"):
            house.program.start()
        house.told.append(own_postgres.log.read_bytes())
        seen = found(secrets_of(house, sealing=bytes.fromhex(at.SEALING)), house.places() | kept)
    assert seen == MUST | {("first caller's key", "the log")}
