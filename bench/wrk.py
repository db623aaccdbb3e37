"""Runs wrk with our request and reads its own counts."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import tool
from bench.request import PATH

_SCRIPT = """\
local body = [==[%(body)s]==]
local keys = {%(keys)s}
local requests, turn = {}, 0
function init(args)
  for i, key in ipairs(keys) do
    requests[i] = wrk.format("POST", "%(path)s", {["Authorization"] = "Bearer " .. key,
      ["Content-Type"] = "application/json"}, body)
  end
end
function request()
  turn = turn %% #requests + 1
  return requests[turn]
end
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format('\\nBENCH {"requests": %%d, "microseconds": %%d, "statuses": %%d, "broken": %%d, ' ..
    '"p50_us": %%.1f, "p99_us": %%.1f}\\n', summary.requests, summary.duration, e.status,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class WrkResult:
    """`requests` answered in `microseconds`; `statuses` of them 4xx or 5xx; `broken` connections, reads, timeouts."""

    requests: int
    microseconds: int
    statuses: int
    broken: int
    p50_us: float
    p99_us: float


def script(body: bytes, keys: Sequence[str]) -> str:
    """The Lua script: one request per key, made beforehand, sent in turn."""
    return _SCRIPT % {"body": body.decode(), "keys": ", ".join(f'"{key}"' for key in keys), "path": PATH}


def result(output: str) -> WrkResult:
    """Read what the script printed. Raises ValueError when it did not."""
    _, mark, rest = output.rpartition("BENCH ")
    if not mark:
        raise ValueError(output)
    return WrkResult(**json.loads(rest.splitlines()[0]))


def run_wrk(home: Path, port: int, body: bytes, keys: Sequence[str], *, connections: int, seconds: int) -> WrkResult:
    """Closed loop: each of the connections asks again as soon as it is answered. Stopped with us."""
    path = home / "wrk.lua"
    path.write_text(script(body, keys))
    url = f"http://127.0.0.1:{port}"
    command = [tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(path), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode:
        raise RuntimeError(f"wrk: {done.stdout} {done.stderr}")
    return result(done.stdout)


def version() -> str:
    """As wrk says it."""
    return subprocess.run([tool("wrk"), "-v"], capture_output=True, text=True, check=False).stdout.split()[1]
