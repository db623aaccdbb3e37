"""The sealing key is rotated beside the running program: nobody's request fails, and no key has to be entered again."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.listed import TEXT, Listed
from tests.whole.program import COMMAND, Program

KEY = "CANARY-key-of-made-up-vX2Q"
PROVIDER = "/admin/providers/made-up"


@pytest.fixture
def made_up() -> Iterator[Listed]:
    """A service that wants a key."""
    with Listed() as running:
        running.service.key = KEY
        yield running


def sealing(program: Program, *words: str) -> Any:
    """What `dominion sealing` says, run where the gateway's settings are."""
    command = [*COMMAND, "sealing", *words, "--json"]
    done = subprocess.run(
        command, cwd=program.folder, env=program.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_rotations_under_a_running_gateway_fail_no_request(folder: Path, made_up: Listed) -> None:
    with Program(folder, DOMINION_EGRESS_ALLOW="127.0.0.0/8", UNPRICED="allow") as program:
        _, key = program.user()
        new = {"id": "made-up", "base_url": made_up.url, "default_model": "m-1", "api_key": KEY}
        program.admin("POST", "/admin/providers", new)

        def works() -> None:
            """The caller's key, the provider's key, and the provider as the store has it now."""
            answer = program.chat(key, "made-up/m-1")
            assert (answer.status, answer.json["choices"][0]["message"]["content"]) == (200, TEXT)
            assert program.admin("POST", f"{PROVIDER}/validate")["valid"] is True

        works()
        for version in (2, 3):
            found = sealing(program, "rotate")
            assert (found["current"], found["credentials"]) == (version, {"done": 1, "left": 0, "problems": []})
            works()
        assert sealing(program, "retire")["versions"] == [1, 3]
        works()
        # The program began with the first key; what it seals now is sealed with the newest.
        program.admin("PUT", f"{PROVIDER}/credentials", {"api_key": KEY})
        works()
        assert sealing(program, "reseal")["credentials"] == {"done": 0, "left": 0, "problems": []}
        program.stop()
        program.start()
        works()
        actions = [entry["action"] for entry in program.admin("GET", "/admin/audit?subject=sealing")["entries"]]
        assert actions == ["sealing_key_rotated", "sealing_key_rotated", "sealing_key_retired"]
    kept = b"".join(path.read_bytes() for path in (folder / "data").rglob("*") if path.is_file())
    assert KEY.encode() not in kept
