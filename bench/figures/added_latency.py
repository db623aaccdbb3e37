"""Figure 2: what a hop adds to one request when nothing else is going on."""

import gc
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from statistics import median

from bench.estimate import quantile, ratio_of_medians
from bench.mock import answer_body
from bench.request import completion_body, request_bytes
from bench.row import Row, VoidError
from bench.setting import Setting
from bench.target import Target

_TURNS, _REQUESTS = 10, 50
_CONTROL_LIMITS = {0.5: 0.10, 0.99: 0.50}


class Caller:
    """One keep-alive connection that asks again and again, blocking."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._request = request_bytes(target.port, target.key, completion_body())
        self._answer = answer_body()
        self._socket = socket.create_connection(("127.0.0.1", target.port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> int:
        """Nanoseconds from the first byte out to the last byte in. Raises VoidError when it is not the answer."""
        start = time.perf_counter_ns()
        self._socket.sendall(self._request)
        received = self._socket.recv(65536)
        while not received.endswith(self._answer):
            if not (more := self._socket.recv(65536)):
                raise VoidError(f"{self.target.name}: {received[:300]!r}")
            received += more
        taken = time.perf_counter_ns() - start
        if not received.startswith(b"HTTP/1.1 200 "):
            raise VoidError(f"{self.target.name}: {received[:300]!r}")
        return taken

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def measure(setting: Setting) -> list[Row]:
    """One connection each to the bare upstream, nginx, the second nginx and the gateway, in turns of 50 requests."""
    targets = [setting.mock.target(), *setting.targets]
    requests = setting.plan.latency_blocks * _TURNS * _REQUESTS
    with setting.watched("all") as answered:
        taken = _blocks(targets, setting.plan.latency_blocks)
        answered(requests * len(targets))
    if "gateway" in taken:
        setting.books.upstream += requests
    return [_row(taken, q) for q in _CONTROL_LIMITS]


def _blocks(targets: Sequence[Target], count: int) -> dict[str, list[list[int]]]:
    """Per target `count` blocks of 500 sorted nanoseconds."""
    taken: dict[str, list[list[int]]] = {target.name: [] for target in targets}
    with ExitStack() as stack:
        callers = [stack.enter_context(closing(Caller(target))) for target in targets]
        gc.disable()
        stack.callback(gc.enable)
        for _ in range(count):
            block: dict[str, list[int]] = {name: [] for name in taken}
            for caller in callers * _TURNS:
                block[caller.target.name] += [caller.ask() for _ in range(_REQUESTS)]
            for name, times in block.items():
                taken[name].append(sorted(times))
    return taken


def _row(taken: Mapping[str, Sequence[Sequence[int]]], q: float) -> Row:
    times = {name: [quantile(block, q) / 1000 for block in blocks] for name, blocks in taken.items()}
    added = {name: [a - b for a, b in zip(found, times["direct"], strict=True)] for name, found in times.items()}
    return Row(
        "2",
        f"added latency, one at a time, p{q * 100:g}",
        ratio=ratio_of_medians(added["gateway"], added["nginx"]) if "gateway" in added else None,
        control=ratio_of_medians(added["control"], added["nginx"]),
        control_limit=_CONTROL_LIMITS[q],
        facts="; ".join(f"{name} {median(found):,.0f} us" for name, found in times.items()),
    )
