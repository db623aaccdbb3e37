"""Faults met at the running program: the cases, what became of them, and what must become of them."""

import http.client
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.emulators.faults import FAULTS, HINT
from tests.emulators.spoken import INPUT_TOKENS, OUTPUT_TOKENS, TEXT
from tests.whole.heard import OPENAI, Heard, heard
from tests.whole.program import Program

TIMES = {
    "UPSTREAM_CONNECT_SECONDS": "2",
    "UPSTREAM_FIRST_BYTE_SECONDS": "1",
    "UPSTREAM_IDLE_SECONDS": "1",
    "UPSTREAM_TOTAL_SECONDS": "3",
}
BOUND = 12.0
"""Seconds for any case: two attempts that each take all of their time, on a machine that others keep busy."""
GROWTH = 64 * 1024
"""KiB that the process may grow."""
AT_ONCE = 40
OMEGA = TEXT.replace("alpha", "omega")
TOKENS = INPUT_TOKENS + OUTPUT_TOKENS
LIKELY_TOKENS = 200
PLAIN_CODES = {"rate_limit_exceeded": "provider_rate_limited"}
"""OpenAI's own words at its door, and ours."""
UNMEASURED = ("wrong_usage", "no_usage")
KEY = "k-0123456789"


class Case(NamedTuple):
    """One fault of a provider of `dialect`, met at one door. `slots` 2: another slot would answer well."""

    fault: str
    door: str
    stream: bool
    slots: int
    dialect: str = "openai_chat"

    @property
    def relayed(self) -> bool:
        """Whether caller and provider speak the same."""
        return (self.door == OPENAI) == (self.dialect == "openai_chat")

    @property
    def name(self) -> str:
        """For slots, models and the names of tests."""
        road = "relayed" if self.relayed else "translated"
        return f"{self.fault}-{'stream' if self.stream else 'whole'}-{self.slots}-{road}".replace("_", "-")

    @property
    def alone(self) -> str:
        """What a caller with one slot must get; see `Fault`."""
        fault = FAULTS[self.fault]
        if not self.stream:
            return fault.whole
        return (fault.relayed or fault.stream) if self.relayed else fault.stream


class Outcome(NamedTuple):
    """What became of a case. `rows` in the ledger, `tokens` in them."""

    heard: Heard
    headers: dict[str, str]
    seconds: float
    rows: int
    tokens: int


class Run(NamedTuple):
    """All cases, run. `grown` KiB at the peak; `quota` and `totals` of the user afterwards."""

    outcomes: dict[str, Outcome]
    quota: dict[str, Any]
    totals: dict[str, int]
    grown: int


def cases(dialect: str, faults: Iterable[str], doors: Iterable[str]) -> list[Case]:
    """Every fault x door x {whole, stream} x {one slot, two}."""
    return [
        Case(fault, door, stream, slots, dialect)
        for fault in faults
        for door in doors
        for stream in (False, True)
        for slots in (1, 2)
    ]


def by_case(every: list[Case]) -> pytest.MarkDecorator:
    """A test for each case."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in every])


def slot(name: str, base_url: str, *models: str) -> str:
    """The table of a slot."""
    listed = ", ".join(f'"{model}"' for model in models)
    return (
        f'[[providers.openai_compat]]\nid = "{name}"\nbase_url = "{base_url}"\n'
        f'api_key = "{KEY}"\nmodel = "{models[0]}"\nmodels = [{listed}]\n'
    )


def run_all(folder: Path, toml: str, models: dict[Case, str], **environment: str) -> Run:
    """Start the program and meet every case, all at once but for the huge ones, which are met one by one."""
    everyday = [case for case in models if not case.fault.startswith("huge")]
    rules = TIMES | {"ROUTER_RETRY_COUNT": "3"}
    with Program(folder, toml=toml, UNPRICED="allow", **rules, **environment) as program:
        user_id, key = program.user()
        for door, stream in {(case.door, case.stream): None for case in models}:  # what is loaded once is not growth
            well = _meet(program, key, "second/warm", door, "Hello!", stream=stream)[0]
            assert well == Heard(200, OMEGA, "", ended=True)
        warm = program.usage(user_id)["requests"]
        before = _memory(program, "VmRSS")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            met = dict(zip(everyday, pool.map(lambda case: _met(program, key, models, case), everyday), strict=True))
        met |= {case: _met(program, key, models, case) for case in models if case not in met}
        grown = _memory(program, "VmHWM") - before
        quota = program.ask("GET", "/v1/llm/quota", token=key).json
        usage = program.admin("GET", f"/admin/usage?user_id={user_id}")
    totals = usage["totals"] | {"requests": usage["totals"]["requests"] - warm}
    return Run({case.name: _outcome(case, *met[case], usage["rows"]) for case in models}, quota, totals, grown)


def _met(program: Program, key: str, models: dict[Case, str], case: Case) -> tuple[Heard, dict[str, str], float]:
    return _meet(program, key, models[case], case.door, f"{case.name} fault={case.fault}", stream=case.stream)


def _meet(
    program: Program, key: str, model: str, door: str, prompt: str, *, stream: bool
) -> tuple[Heard, dict[str, str], float]:
    """Ask, and read to the end."""
    turns = [{"role": "user", "content": prompt}]
    body = {"model": model, "stream": stream, "max_tokens": 50, "messages": turns}
    began = time.monotonic()
    try:
        answer = program.ask("POST", door, body, token=key)
    except (http.client.HTTPException, OSError) as error:
        return Heard(0, "", f"cut: {error!r}", ended=False), {}, time.monotonic() - began
    return heard(door, answer, stream=stream), answer.headers, time.monotonic() - began


def _outcome(case: Case, what: Heard, headers: dict[str, str], seconds: float, rows: list[dict[str, Any]]) -> Outcome:
    ours = [row for row in rows if row["model"] == f"m-{case.name}"]
    count = sum(row["requests"] + row["failed"] for row in ours)
    return Outcome(what, headers, seconds, count, sum(row["input_tokens"] + row["output_tokens"] for row in ours))


def _memory(program: Program, name: str) -> int:
    """KiB: VmRSS now, VmHWM at the peak."""
    lines = Path(f"/proc/{program.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


# --- what must be so


def check_answer(case: Case, outcome: Outcome) -> None:
    """The right answer, the second slot's, or an error in the door's own form, as the fault allows."""
    what, wanted = outcome.heard, case.alone
    code = PLAIN_CODES.get(what.code, what.code)
    both = (TEXT, OMEGA) if case.slots == 2 else (TEXT,)
    failed_over = case.slots == 2 and what == Heard(200, OMEGA, "", ended=True)
    if wanted == "answer":
        assert (what.status, code) == (200, "")
        assert what.text in both
        assert what.ended or (case.fault == "no_end_mark" and case.relayed)
    elif wanted == "as it is":
        assert (what.status, code, what.ended) == (200, "", True)
    elif wanted == "broken":
        assert failed_over or (code and what.ended)
        assert what.status == 200 or (case.slots == 1 and what.status >= 500)
    elif case.slots == 2:
        assert failed_over
    else:
        assert what.status in (429, 502, 503, 504)
        assert code.startswith(wanted)
        hint = FAULTS[case.fault].hint
        assert hint is None or HINT - 5 <= int(outcome.headers.get("retry-after", 0)) <= HINT + 1


def check_unmixed(outcome: Outcome) -> None:
    """Of one slot only, and nothing that no slot said."""
    words = set(outcome.heard.text.replace(".", "").split())
    assert not {"alpha", "omega"} <= words
    assert words <= {"alpha", "omega", "one", "two", "three"}


def check_row(case: Case, outcome: Outcome) -> None:
    """One row, in bounded time, with the tokens that were told, or an estimate where none were."""
    assert outcome.rows == 1
    assert outcome.seconds < BOUND
    if case.alone == "answer" and outcome.heard.text:
        measured = case.fault not in UNMEASURED or outcome.heard.text == OMEGA
        assert outcome.tokens == TOKENS if measured else 0 < outcome.tokens < LIKELY_TOKENS


def check_no_hold(run: Run) -> None:
    """Nothing is set aside any more."""
    assert run.quota["concurrent_requests"]["used"] == 0
    assert [run.quota[name]["held"] for name in ("daily_requests", "daily_tokens")] == [0, 0]
    assert run.quota["monthly_spend"]["held_usd"] == "0.000000000"
