"""What a newcomer does: clone, `make run`, copy the printed command. Installs packages, so it takes a while."""

import json
import os
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0

pytestmark = pytest.mark.soak


@pytest.fixture
def first_start(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`make run` in a fresh clone of what is committed, on a free port, without any setting of this machine."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)  # noqa: S607 - wherever git is
    ours = ("_API_KEY", "_OAUTH_TOKEN", "ADMIN_TOKEN", "SQLITE_PATH")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(ours) and not name.startswith(("DOMINION_", "MAKE", "MFLAGS"))
    }
    with subprocess.Popen(
        ["make", "run"],  # noqa: S607 - wherever make is
        cwd=clone,
        env=kept | {"PORT": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        watchdog = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)


@pytest.mark.promise("000-016", "000-062", "000-072", "001-016", "001-018")
def test_a_fresh_clone_answers_the_command_that_its_first_start_prints(first_start: subprocess.Popen[str]) -> None:
    assert first_start.stdout is not None
    printed = ""
    command = None
    while command is None:
        line = first_start.stdout.readline()
        assert line, f"it ended:\n{printed}"
        printed += line
        command = re.search(r"curl (\S+).*?-d '([^']+)'", printed, re.DOTALL)
    key = re.search(r"dom_\w+", printed)
    assert key is not None, printed
    request = urllib.request.Request(
        command[1],
        data=command[2].encode(),
        headers={"authorization": f"Bearer {key[0]}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = json.loads(answer.read())
    assert answer.status == 200
    assert body["content"]
    assert body["usage"]["totalTokens"] > 0
