"""Callers' own keys that the operator mounts as files, at the running program."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.emulators.keyed import Keyed
from tests.whole.program import Program
from tests.whole.test_own_keys import ADA, ANEW, MINE, OPERATORS, alpha, beta, keep, paid_by, toml  # noqa: F401

LOOKED_AT = 10.0
"""Seconds; a file is looked at every second, if the machine has time."""


def mount(path: Path, content: str) -> None:
    """At once, as secrets are exchanged."""
    part = path.with_name(f"..{path.name}")
    part.write_text(content)
    part.replace(path)


def until(true: Callable[[], bool]) -> None:
    """Wait for a file to be looked at."""
    give_up = time.monotonic() + LOOKED_AT
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.mark.promise("002-047")
def test_a_mounted_key_pays_for_its_user_alone_until_it_changes(
    folder: Path,
    alpha: Keyed,  # noqa: F811
    beta: Keyed,  # noqa: F811
) -> None:
    secrets = folder / "secrets"
    secrets.mkdir(parents=True)
    with Program(folder, toml=toml(alpha, beta), OWN_KEYS_DIR=str(secrets)) as program:
        (user_id, key), other = program.user(monthly_spend_cap_usd=0), program.user()[1]
        file = secrets / f"{user_id}.alpha"
        assert program.chat(key, "alpha/alpha-1").status == 429
        mount(file, f"{ADA}\n")
        until(lambda: program.chat(key, "alpha/alpha-1").status == 200)
        assert [paid_by(program, each) for each in (key, other)] == ["own", "operator"]
        assert alpha.keyed.shown() == [ADA, ADA, OPERATORS["alpha"]]
        assert program.usage(user_id)["cost_usd"] == "0.000000000"
        (told,) = program.ask("GET", MINE, token=key).json["credentials"]
        assert (told["provider"], told["origin"], told["in_file"], told["key"]) == ("alpha", alpha.url, True, "...")
        mount(file, "of two\nlines")
        until(lambda: program.chat(key, "alpha/alpha-1").status == 409)  # nor does the operator's key stand in
    mount(file, ANEW)
    with Program(folder, toml=toml(alpha, beta), OWN_KEYS_DIR=str(secrets)) as program:
        assert paid_by(program, key) == "own"  # from the first request on
        assert alpha.keyed.shown()[-1] == ANEW
        assert program.ask("PUT", f"{MINE}/alpha", {"file": os.devnull}, token=key).status == 400  # callers choose none
        assert program.ask("DELETE", f"{MINE}/alpha", token=key).status == 409
        assert keep(program, key, "alpha", ADA).json["in_file"] is False  # what a caller keeps goes before it
        paid_by(program, key)
        assert alpha.keyed.shown()[-1] == ADA
        assert program.ask("DELETE", f"{MINE}/alpha", token=key).status == 200
        paid_by(program, key)
        assert alpha.keyed.shown()[-1] == ANEW
        file.unlink()
        until(lambda: program.chat(key, "alpha/alpha-1").status == 429)
