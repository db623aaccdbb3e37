"""Keys of callers' own at the running program: used at their origin only, by nobody else, charged to nobody here."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from dominion import LLM
from dominion.domain.errors import ConfigProblem
from tests.client.conftest import Around, around  # noqa: F401 - a fixture
from tests.emulators.keyed import Keyed
from tests.whole.program import Answer, Program
from tests.whole.test_sealing_keys import sealing
from tests.whole.test_two_gateways import SLACK, SOON, both, seconds_until  # noqa: F401 - a fixture

OPERATORS = {"alpha": "operators-alpha-key-0000A1", "beta": "operators-beta-key-0000B1"}
ADA, BOB, ANEW = "CANARY-of-ada-7vX2Q", "CANARY-of-bob-9kL4P", "CANARY-anew-of-ada-8mZ3T"
PASSED = "CANARY-passed-by-ada-5tR1W"
MINE, HEADER = "/v1/llm/credentials", "x-dominion-provider-key"
TURNS = [{"role": "user", "content": "Hi"}]
DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "native": ("/v1/llm/complete", {"messages": TURNS}),
    "openai": ("/v1/chat/completions", {"messages": TURNS}),
    "responses": ("/v1/responses", {"input": "Hi"}),
    "anthropic": ("/v1/messages", {"messages": TURNS, "max_tokens": 50}),
    "completions": ("/v1/completions", {"prompt": "Hi"}),
    "gemini": ("/v1beta/models/alpha-1:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}),
}


def toml(alpha: Keyed, beta: Keyed, more: str = "") -> str:
    """Two providers: both serve "shared", each a model of its own, at a price."""
    text = more
    for name, at in (("alpha", alpha), ("beta", beta)):
        text += f'[[providers.openai_compat]]\nid = "{name}"\nbase_url = "{at.url}"\napi_key = "{OPERATORS[name]}"\n'
        text += f'models = ["shared", "{name}-1"]\n[prices."{name}/*"]\ninput = "1"\noutput = "2"\n'
    return text


@pytest.fixture
def alpha() -> Iterator[Keyed]:
    with Keyed(OPERATORS["alpha"], ADA, BOB, ANEW, PASSED) as running:
        yield running


@pytest.fixture
def beta() -> Iterator[Keyed]:
    with Keyed(OPERATORS["beta"]) as running:
        yield running


@pytest.fixture
def program(folder: Path, alpha: Keyed, beta: Keyed) -> Iterator[Program]:
    with Program(folder, toml=toml(alpha, beta), LOG_LEVEL="debug") as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Keyed]]:
    folder = tmp_path_factory.mktemp("own-keys")
    with (
        Keyed(OPERATORS["alpha"], PASSED) as alpha,
        Keyed(OPERATORS["beta"]) as beta,
        Program(folder, toml=toml(alpha, beta)) as program,
    ):
        yield program, alpha


@pytest.fixture
def shared(running: tuple[Program, Keyed]) -> tuple[Program, Keyed]:
    """One program and its alpha for tests that leave it as it was; alpha has heard of nobody yet."""
    running[1].keyed.heard.clear()
    return running


def keep(program: Program, key: str, provider: str, plain: str) -> Answer:
    return program.ask("PUT", f"{MINE}/{provider}", {"api_key": plain}, token=key)


def paid_by(program: Program, key: str, model: str = "alpha/alpha-1", **headers: str) -> str:
    """Whose key a chat was answered with: "own", "passed" or "operator"."""
    answer = program.ask("POST", "/v1/chat/completions", {"model": model, "messages": TURNS}, token=key, **headers)
    assert answer.status == 200, answer.body
    return answer.headers.get("x-dominion-key", "operator")


def ledger(program: Program) -> list[tuple[int, int | None]]:
    """(cost, cost by list) of each row, in the order of time."""
    program.admin("GET", "/admin/usage")  # which writes what is not written yet
    with contextlib.closing(sqlite3.connect(program.folder / "data" / "gateway.db")) as database:
        return database.execute("select cost_nano, list_nano from usage order by at, id").fetchall()


@pytest.mark.promise("002-049", "002-050")
def test_an_own_key_is_used_for_its_user_alone_and_nothing_is_charged(program: Program, alpha: Keyed) -> None:
    user_id, key = program.user(monthly_spend_cap_usd=0, daily_requests=4)
    other = program.user()[1]
    assert program.chat(key, "alpha/alpha-1").status == 429  # there is no money for the operator's key
    kept = keep(program, key, "alpha", ADA)
    assert (kept.status, kept.json["key"], kept.json["origin"]) == (200, "...vX2Q", alpha.url)
    assert [paid_by(program, each) for each in (key, other, key)] == ["own", "operator", "own"]
    streamed = program.chat(key, "alpha/alpha-1", stream=True)
    assert (streamed.status, streamed.headers["x-dominion-key"]) == (200, "own")
    assert alpha.keyed.shown() == [ADA, OPERATORS["alpha"], ADA, ADA]
    assert program.usage(user_id).items() >= {"requests": 3, "input_tokens": 12, "cost_usd": "0.000000000"}.items()
    assert ledger(program)[:3] == [(0, 10_000), (10_000, None), (0, 10_000)]
    asked = f"/admin/attempts?request_id={streamed.headers['x-request-id']}"
    ended = program.admin("GET", asked)["requests"][0]["ended"]
    assert (ended["cost_usd"], ended["own_key_list_usd"]) == ("0.000000000", "0.000010000")
    quota = program.ask("GET", "/v1/llm/quota", token=key).json
    assert (quota["daily_requests"]["used"], quota["monthly_spend"]["used_usd"]) == (3, "0.000000000")
    assert program.chat(key, "alpha/alpha-1").status == 200
    assert program.chat(key, "alpha/alpha-1").status == 429  # the limits that are not about money hold
    period = {"from": "2020-01-01", "to": "2099-12-31", "dry_run": True}
    assert program.admin("POST", "/admin/prices/reprice", period)["corrections"] == 0


@pytest.mark.promise("002-020", "002-048")
@pytest.mark.parametrize("door", DOORS)
def test_a_key_passed_at_any_door_is_used_once_and_never_kept(shared: tuple[Program, Keyed], door: str) -> None:
    program, alpha = shared
    path, fields = DOORS[door]
    key = program.user(monthly_spend_cap_usd=0)[1]
    asked = {**fields, "model": "alpha/alpha-1"}
    if door == "native":
        answers = [program.ask("POST", path, asked | {"apiKey": PASSED}, token=key)]
    else:
        answers = [
            program.ask("POST", path, asked, token=key, **{HEADER: each}) for each in (PASSED, f"alpha {PASSED}")
        ]
    for answer in answers:
        assert (answer.status, answer.headers["x-dominion-key"]) == (200, "passed"), answer.body
    assert set(alpha.keyed.shown()) == {PASSED}
    assert program.ask("POST", path, asked, token=key).status in (402, 429)  # as the vendor says it
    assert program.ask("GET", MINE, token=key).json == {"credentials": []}


def test_a_passed_key_goes_before_a_kept_one_and_is_shown_to_nobody_else(
    program: Program, alpha: Keyed, beta: Keyed
) -> None:
    key = program.user()[1]
    keep(program, key, "alpha", ADA)
    assert paid_by(program, key, **{HEADER: PASSED}) == "passed"
    assert alpha.keyed.shown() == [PASSED]
    body = {"model": "shared", "messages": TURNS}
    for value, status in (
        (PASSED, 400),  # both serve the model: whose is it?
        (f"gamma {PASSED}", 400),
        (f"{PASSED} alpha", 400),
        (f"alpha {PASSED}, {ADA}", 400),
        (PASSED * 500, 400),
        ("", 400),
        (f"alpha {PASSED} {PASSED}", 400),
        (f"alpha {PASSED}, alpha {ADA}", 400),
        (f"alpha {PASSED}, beta {BOB}", 200),
        (f"beta {BOB}", 401),
    ):
        answer = program.ask("POST", "/v1/chat/completions", body, token=key, **{HEADER: value})
        assert answer.status == status, (value, answer.body)
        assert b"CANARY" not in answer.body
    assert alpha.keyed.shown() == [PASSED]
    assert beta.keyed.shown() == [BOB]
    for wrong in ({"apiKey": 5}, {"apiKey": ""}, {"apiKey": "two words"}, {"api_key": PASSED}):
        answer = program.ask("POST", "/v1/llm/complete", body | wrong, token=key)
        assert (answer.status, b"CANARY" in answer.body) == (400, False)
    both_ways = program.ask("POST", "/v1/llm/complete", body | {"apiKey": ADA}, token=key, **{HEADER: PASSED})
    assert both_ways.status == 400


def test_neither_key_stands_in_for_the_other(program: Program, alpha: Keyed, beta: Keyed) -> None:
    key, other = program.user()[1], program.user()[1]
    keep(program, key, "alpha", "CANARY-wrong-of-ada-1a2b")
    failed = program.chat(key, "shared")
    assert (failed.status, failed.headers.get("x-dominion-attempts"), b"CANARY" in failed.body) == (401, None, False)
    assert failed.json["error"]["code"] == "own_key_refused"
    assert (len(alpha.keyed.shown()), beta.keyed.shown()) == (1, [])
    for _ in range(30):  # and whoever has a wrong key shuts the provider to nobody
        program.chat(key, "shared")
    assert paid_by(program, other, "shared") == "operator"
    alpha.keyed.shown()
    beta.keyed.state = "down"
    keep(program, key, "alpha", ADA)
    assert program.chat(key, "beta/beta-1").status == 503  # and the own key serves its own provider only
    assert alpha.keyed.shown() == []


def test_the_operator_may_let_the_own_key_stand_in(folder: Path, alpha: Keyed, beta: Keyed) -> None:
    with Program(folder, toml=toml(alpha, beta), BYOK_FALLBACK="true") as program:
        key = program.user()[1]
        keep(program, key, "alpha", "CANARY-wrong-of-ada-1a2b")
        assert paid_by(program, key, "shared") == "operator"
        assert alpha.keyed.shown() == ["CANARY-wrong-of-ada-1a2b", OPERATORS["alpha"]]
        keep(program, key, "alpha", ADA)
        assert paid_by(program, key, "shared") == "own"
        assert beta.keyed.shown() == []
        assert ledger(program) == [(10_000, None), (0, 10_000)]


def test_a_key_is_write_only_and_obeys_every_change_at_once(program: Program, alpha: Keyed) -> None:
    (user_id, key), (other_id, other) = program.user(), program.user()
    theirs = f"/admin/users/{user_id}/credentials"
    assert keep(program, key, "alpha", ADA).status == 200
    assert paid_by(program, key) == "own"
    assert program.admin("PUT", f"{theirs}/alpha", {"api_key": ANEW})["key"] == "...mZ3T"[:3] + ANEW[-4:]
    assert paid_by(program, key) == "own"
    assert alpha.keyed.shown() == [ADA, ANEW]
    listed = program.ask("GET", MINE, token=key)
    assert listed.json == program.admin("GET", theirs)
    assert [each["provider"] for each in listed.json["credentials"]] == ["alpha"]
    assert b"CANARY" not in listed.body
    assert program.ask("DELETE", f"{MINE}/alpha", token=other).status == 404  # nobody else's
    assert program.ask("GET", MINE, token=other).json == {"credentials": []}
    foreign, absent = (program.ask("DELETE", f"{MINE}/{name}", token=other).json for name in ("alpha", "beta"))
    assert foreign["message"].replace("alpha", "beta") == absent["message"]
    assert program.ask("DELETE", f"{MINE}/alpha", token=key).json == {"provider": "alpha", "removed": True}
    assert paid_by(program, key) == "operator"
    assert alpha.keyed.shown() == [OPERATORS["alpha"]]
    entries = program.admin("GET", f"/admin/audit?subject=user:{user_id}:alpha")["entries"]
    assert [(entry["action"], entry["actor"]) for entry in entries] == [
        ("credentials_added", f"user:{user_id}"),
        ("credentials_updated", "admin"),
        ("credentials_removed", f"user:{user_id}"),
    ]
    assert "CANARY" not in json.dumps(entries)
    assert other_id not in json.dumps(entries)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("alpha", {"api_key": ADA, "origin": "http://evil.example"}, 400),
        ("alpha", {"api_key": ADA, "owner": "provider:alpha"}, 400),
        ("alpha", {"api_key": ADA, "user_id": "usr_other"}, 400),
        ("alpha", {"api_key": ""}, 400),
        ("alpha", {"api_key": f"{ADA}\r\nx-evil: 1"}, 400),
        ("alpha", {"api_key": ADA * 1000}, 400),
        ("alpha", {"key": ADA}, 400),
        ("gamma", {"api_key": ADA}, 404),
        ("stub", {"api_key": ADA}, 400),
    ],
)
def test_a_key_that_cannot_be_kept_is_refused_and_not_repeated(
    shared: tuple[Program, Keyed], path: str, body: dict[str, str], status: int
) -> None:
    program = shared[0]
    key = program.user()[1]
    answer = program.ask("PUT", f"{MINE}/{path}", body, token=key)
    assert (answer.status, b"CANARY" in answer.body) == (status, False)
    assert program.ask("GET", MINE, token=key).json == {"credentials": []}
    nobody = program.ask(
        "PUT", "/admin/users/usr_nobody/credentials/alpha", {"api_key": ADA}, token=program.admin_token
    )
    assert nobody.status == 404
    for role in (None, "dom_wrong_key"):
        assert program.ask("PUT", f"{MINE}/alpha", {"api_key": ADA}, token=role).status == 401
    assert program.ask("GET", "/admin/users/x/credentials", token=key).status == 401


@pytest.mark.promise("002-046", "003-181", "003-182", "003-183")
def test_a_key_is_nowhere_but_sealed_and_at_its_origin(program: Program, alpha: Keyed, beta: Keyed) -> None:
    (user_id, key), other = program.user(), program.user()[1]
    keep(program, key, "alpha", ADA)
    program.admin("PUT", f"/admin/users/{user_id}/credentials/beta", {"api_key": BOB})  # which beta does not know
    answers = []
    for each in (key, other):
        for model in ("alpha/alpha-1", "beta/beta-1", "shared", "auto", "nothing"):
            answers += [program.chat(each, model, stream=stream) for stream in (False, True)]
            answers.append(program.ask("POST", "/v1/llm/complete", {"model": model, "prompt": "Hi"}, token=each))
            body = {"model": model, "prompt": "Hi", "apiKey": PASSED}
            answers.append(program.ask("POST", "/v1/llm/complete", body, token=each))
    for state in ("limited", "capped", "gone", "down"):
        alpha.keyed.state = state
        answers += [program.chat(key, "alpha/alpha-1"), program.chat(key, "alpha/alpha-1", stream=True)]
    for path in ("/metrics", "/admin/router", "/admin/attempts", "/admin/audit", f"/admin/users/{user_id}"):
        answers.append(program.ask("GET", path, token=program.admin_token))
    heard = {"alpha": str(alpha.keyed.heard), "beta": str(beta.keyed.heard)}
    assert (ADA in heard["alpha"], BOB in heard["alpha"]) == (True, False)
    assert (BOB in heard["beta"], ADA in heard["beta"]) == (True, False)
    assert not any("apiKey" in text or "x-dominion" in text for text in heard.values())
    program.kill()  # with the journal and the database's own log still on the disk
    kept = {str(path): path.read_bytes() for path in program.folder.rglob("*") if path.is_file()}
    assert any(f"user:{user_id}:alpha".encode() in content for content in kept.values())
    told = {f"answer {number}": answer.body + str(answer.headers).encode() for number, answer in enumerate(answers)}
    for place, content in {**kept, **told, "the log": "".join(program.lines).encode()}.items():
        for canary in (b"CANARY", b"of-ada", b"of-bob", b"passed-by"):
            assert canary not in content, (place, canary)


def test_a_registered_providers_new_address_never_sees_the_key(folder: Path, alpha: Keyed, beta: Keyed) -> None:
    with Program(folder, DOMINION_EGRESS_ALLOW="127.0.0.0/8", UNPRICED="allow") as program:
        key = program.user()[1]
        new = {"id": "made-up", "base_url": alpha.url, "default_model": "m-1", "api_key": OPERATORS["alpha"]}
        program.admin("POST", "/admin/providers", new)
        keep(program, key, "made-up", ADA)
        assert paid_by(program, key, "made-up/m-1") == "own"
        program.admin("PATCH", "/admin/providers/made-up", {"base_url": beta.url})
        program.admin("PUT", "/admin/providers/made-up/credentials", {"api_key": OPERATORS["beta"]})
        moved = program.chat(key, "made-up/m-1")
        assert (moved.status, b"another address" in moved.body) == (409, True)
        assert ADA not in str(beta.keyed.heard)
        program.admin("PATCH", "/admin/providers/made-up", {"base_url": alpha.url})
        program.admin("PUT", "/admin/providers/made-up/credentials", {"api_key": OPERATORS["alpha"]})
        assert paid_by(program, key, "made-up/m-1") == "own"


def test_a_sealed_key_that_was_moved_to_another_user_opens_for_nobody(program: Program, alpha: Keyed) -> None:
    (ada, key), (bob, other) = program.user(), program.user()
    keep(program, key, "alpha", ADA)
    keep(program, other, "alpha", BOB)
    program.stop()
    with contextlib.closing(sqlite3.connect(program.folder / "data" / "gateway.db")) as database, database:
        database.execute("delete from provider_credentials where owner = ?", (f"user:{bob}:alpha",))
        moved = "update provider_credentials set owner = ? where owner = ?"
        database.execute(moved, (f"user:{bob}:alpha", f"user:{ada}:alpha"))
    program.start()
    stolen = program.chat(other, "alpha/alpha-1")
    assert (stolen.status, alpha.keyed.heard) == (500, [])
    assert paid_by(program, key) == "operator"


def test_a_key_outlives_the_start(program: Program, alpha: Keyed) -> None:
    key = program.user()[1]
    keep(program, key, "alpha", ADA)
    program.stop()
    program.start()
    assert paid_by(program, key) == "own"
    assert alpha.keyed.shown() == [ADA]


def test_a_key_is_opened_after_each_rotation_of_the_sealing_key(program: Program, alpha: Keyed) -> None:
    key = program.user()[1]
    keep(program, key, "alpha", ADA)
    for version in (2, 3):
        assert sealing(program, "rotate")["current"] == version
        assert paid_by(program, key) == "own"
    assert sealing(program, "retire")["versions"] == [1, 3]
    keep(program, key, "beta", BOB)  # with the newest
    assert paid_by(program, key) == "own"
    assert set(alpha.keyed.shown()) == {ADA}


def test_a_key_kept_at_one_gateway_is_used_and_forgotten_at_the_other(
    both: tuple[Program, Program],  # noqa: F811 - a fixture
) -> None:
    one, other = both
    with Keyed(OPERATORS["alpha"], ADA) as alpha:
        for program in both:
            program.stop()
            (program.folder / "dominion.toml").write_text(toml(alpha, alpha))
            program.start()
        key = one.user(monthly_spend_cap_usd=0)[1]
        assert other.chat(key, "alpha/alpha-1").status == 429
        keep(one, key, "alpha", ADA)
        assert seconds_until(200, lambda: other.chat(key, "alpha/alpha-1")) < SOON + SLACK
        other.ask("DELETE", f"{MINE}/alpha", token=key)
        assert seconds_until(429, lambda: one.chat(key, "alpha/alpha-1")) < SOON + SLACK
        assert set(alpha.keyed.shown()) == {ADA}


async def test_the_python_client_passes_a_key(
    shared: tuple[Program, Keyed],
    around: Around,  # noqa: F811 - a fixture
) -> None:
    program, alpha = shared
    key = program.user(monthly_spend_cap_usd=0)[1]
    for given in (PASSED, {"alpha": PASSED, "beta": BOB}):
        async with LLM(url=program.url, token=key, provider_key=given, surroundings=around()) as llm:
            assert (await llm.complete(prompt="Hi", model="alpha/alpha-1")).content
    assert alpha.keyed.shown() == [PASSED, PASSED]
    client = openai.OpenAI(base_url=f"{program.url}/v1", api_key=key, default_headers={HEADER: PASSED})
    with client:
        turns: Any = TURNS
        assert client.chat.completions.create(model="alpha/alpha-1", messages=turns).choices
    with pytest.raises(ConfigProblem, match="provider_key"):
        LLM(provider="stub", provider_key=PASSED, surroundings=around())
    with pytest.raises(ConfigProblem, match="characters") as raised:
        LLM(url=program.url, token=key, provider_key=f"{PASSED}\r\nx: y", surroundings=around())
    assert "CANARY" not in str(raised.value)
