"""Alerts from the real program: in seconds, once, over restarts and several processes, whatever their receivers do."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.upstream.hostile import Server
from tests.upstream.mailbox import Mailbox
from tests.whole.faultd import FaultServer
from tests.whole.program import ADMIN_TOKEN, COMMAND, Program
from tests.whole.receiver import Receiver
from tests.whole.test_two_gateways import two

QUARTER = "faults/drip-20-1"
"""A model whose answers of 20 tokens cost $0.10 each."""
PRICES = {"drip-20-1": 5_000, "drip-40-1": 1}
SOON = 3.0
SLACK = 2.0
"""Seconds for a machine with other things to do."""


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def command(program: Program, *words: str) -> str:
    run = subprocess.run(
        [*COMMAND, "alerts", *words, "--url", program.url],
        env={**os.environ, "ADMIN_TOKEN": ADMIN_TOKEN},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def told(program: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = program.admin("GET", "/admin/alerts")["alerts"]
    return found


def percents(receiver: Receiver, scope: str) -> list[int]:
    return sorted(one["data"]["percent"] for one in receiver.of("limit", scope))


@pytest.mark.promise("002-044", "002-045", "003-175")
def test_operators_hear_of_limits_costs_and_failures_within_seconds_and_once(
    folder: Path, faults: FaultServer, receiver: Receiver
) -> None:
    with Program(folder, toml=faults.toml(**PRICES), **receiver.settings()) as program:
        user_id, key = program.user(monthly_spend_cap_usd="0.40")
        for _ in range(2):
            assert program.chat(key, QUARTER, max_tokens=20).status == 200
        began = time.monotonic()
        (half,) = receiver.wait_for("limit")
        assert time.monotonic() - began < SOON + SLACK
        assert half["text"].startswith(f"user {user_id} has reached 50 % of its monthly spend: 0.20 of 0.40 US dollars")
        for _ in range(2):
            assert program.chat(key, QUARTER, max_tokens=20).status == 200
        receiver.wait_for("limit", 3)
        refused = program.chat(key, QUARTER, max_tokens=20)
        assert (refused.status, "onthly" in refused.json["error"]["message"]) == (429, True)
        assert percents(receiver, "user:") == [50, 80, 100]

        _, rich = program.user()
        assert program.chat(rich, "faults/drip-40-1", max_tokens=20).status == 200  # twice what it may answer
        began = time.monotonic()
        (over,) = receiver.wait_for("over_hold")
        assert time.monotonic() - began < 1.0 + SLACK
        assert (over["data"]["model"], over["data"]["output_tokens"]) == ("drip-40-1", 40)

        for _ in range(2):
            assert program.chat(rich, "stub/fail-500").status == 503
        (failed,) = receiver.wait_for("providers_failed")
        assert failed["data"]["code"] == "provider_unavailable"

        assert command(program, "test").startswith("On its way to: log, webhook.")
        receiver.wait_for("test")
        lines = command(program, "list").splitlines()
        assert lines[0] == "AT\tKIND\tWHAT\tDELIVERIES"
        kinds = [line.split("\t")[1] for line in lines if "log: delivered" in line]
        assert [kinds.count(kind) for kind in ("limit", "over_hold", "providers_failed", "test")] == [3, 1, 1, 1]
        program.wait_for_line("has reached 100 % of its monthly spend")
        assert [len(receiver.of(kind)) for kind in ("limit", "over_hold", "providers_failed", "test")] == [3, 1, 1, 1]


def test_a_kill_before_an_alert_is_made_or_delivered_only_delays_it(folder: Path, receiver: Receiver) -> None:
    receiver.status = "503 Later"
    with Program(folder, **receiver.settings()) as program:
        program.admin("PUT", "/admin/budgets", {"scope": "provider:stub", "daily_requests": 1, "alerts": [100]})
        _, key = program.user()
        assert program.chat(key).status == 200
        program.kill()  # the row is in the journal, and has hardly come further
        program.start()
        first = receiver.wait_for("limit")[0]
        program.wait_for_line(f"notice {first['id']} was not delivered by webhook, tried again in 1 s: The webhook")
        program.kill()
        receiver.status = "200 OK"
        before = len(receiver.of("limit"))
        program.start()
        again = receiver.wait_for("limit", before + 1)
        assert {one["id"] for one in again} == {first["id"]}
        assert program.chat(key).status == 429
        shown = program.admin("GET", "/admin/alerts")
        (alert,) = [one for one in shown["alerts"] if one["kind"] == "limit"]
        assert (alert["id"], alert["text"], shown["channels"]) == (first["id"], first["text"], ["log", "webhook"])


def test_a_receiver_that_hangs_delays_no_request_no_other_channel_and_no_end(folder: Path, receiver: Receiver) -> None:
    receiver.status = ""
    with Program(folder, **receiver.settings()) as program:
        program.admin("PUT", "/admin/budgets", {"scope": "provider:stub", "daily_requests": 100, "alerts": [1, 2, 3]})
        _, key = program.user()
        for _ in range(5):
            assert program.chat(key).status == 200
        with receiver.came:
            assert receiver.came.wait_for(lambda: receiver.got, 15)
        program.wait_for_line("of its requests a day", 3)
        began = time.monotonic()
        assert program.chat(key).status == 200
        program.stop()
        assert time.monotonic() - began < 3.0 + SLACK
    assert len(receiver.got) == 1


def test_of_two_gateways_on_one_database_one_tells(folder: Path, receiver: Receiver) -> None:
    environment = {"SQLITE_PATH": str(folder / "shared" / "gateway.db")}
    with two(folder, **environment, **receiver.settings()) as (one, other):
        _, key = one.user()
        one.admin("PUT", "/admin/budgets", {"scope": "provider:stub", "daily_requests": 4, "alerts": [50, 75, 100]})
        for program in (one, other, one, other):
            assert program.chat(key).status == 200
        receiver.wait_for("limit", 3)
        found = [each for each in told(other) if each["kind"] == "limit"]
        assert sorted(each["data"]["percent"] for each in found) == [50, 75, 100]
    assert percents(receiver, "provider:") == [50, 75, 100]


async def test_alerts_come_by_mail(folder: Path) -> None:
    box = Mailbox(password="CANARY-of-mail")
    server = Server(box)
    await server.start(None)
    settings = {
        "ALERT_EMAIL_TO": "ops@example.com",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(server.port),
        "SMTP_SECURITY": "none",
        "SMTP_USER": "user",
        "SMTP_PASSWORD": "CANARY-of-mail",
        "SMTP_FROM": "gateway@example.com",
        "ALERT_THRESHOLDS": "70",
    }

    def ask() -> str:
        with Program(folder, **settings) as program:
            budget = program.admin("PUT", "/admin/budgets", {"scope": "customer:acme", "daily_requests": 1})
            assert budget["limits"]["alerts"] == [70]
            sent: str = program.admin("POST", "/admin/alerts/test")["id"]
            until = time.monotonic() + 15
            while not any(one["id"] == sent and one["deliveries"][0]["state"] == "delivered" for one in told(program)):
                assert time.monotonic() < until
        assert "CANARY" not in "".join(program.lines)
        return sent

    sent = await asyncio.to_thread(ask)
    await server.stop()
    (got,) = [mail for mail in box.mails if sent in mail.get_content()]
    assert got["to"] == "ops@example.com"
