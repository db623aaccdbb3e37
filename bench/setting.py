"""All that runs during the bench, how much to measure, and the checks that every block of load must pass."""

import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.gateway import Caller, Gateway, make_gateway
from bench.mock import answer_body
from bench.processes import wait_until
from bench.provider import Mock
from bench.request import completion_body
from bench.rounds import Load
from bench.row import VoidError
from bench.target import Target, ask
from bench.wrk import WrkResult, run_wrk

_SETTLE_S = 0.2
_LEDGER_S = 15.0


@dataclass(frozen=True)
class Plan:
    """How much to measure. `block_s` is whole because wrk's seconds are; a latency block is 500 requests per target."""

    rounds: int
    block_s: int
    few_rounds: int
    some_rounds: int
    latency_blocks: int
    stream_rounds: int
    streams: int
    open_streams: int
    hold_s: int
    stale_requests: int
    starts: int


FULL = Plan(
    rounds=20,
    block_s=1,
    few_rounds=12,
    some_rounds=8,
    latency_blocks=40,
    stream_rounds=8,
    streams=64,
    open_streams=2000,
    hold_s=6,
    stale_requests=20_000,
    starts=3,
)
QUICK = Plan(
    rounds=3,
    block_s=1,
    few_rounds=1,
    some_rounds=1,
    latency_blocks=6,
    stream_rounds=1,
    streams=32,
    open_streams=500,
    hold_s=2,
    stale_requests=1_500,
    starts=1,
)


@dataclass
class Books:
    """Requests that the mock got through the gateway so far, and how many more wrk may have left under way."""

    upstream: int = 0
    in_flight: int = 0


@dataclass
class Setting:
    """The running bench. The second nginx is the control; the gateway may be absent."""

    home: Path
    plan: Plan
    mock: Mock
    nginx: Target
    control: Target
    gateway: Gateway | None = None
    caller: Caller | None = None
    books: Books = field(default_factory=Books)

    @property
    def targets(self) -> list[Target]:
        """Who is measured, in the order of a round."""
        ours = [self.gateway.target(self.caller)] if self.gateway and self.caller else []
        return [self.nginx, self.control, *ours]

    @contextmanager
    def watched(self, name: str, *, in_flight: int = 0) -> Iterator[Callable[[int], None]]:
        """Tell the function that this yields how many answers the clients got; the mock must have been asked as often.

        `in_flight`: how many requests may have been left behind. Raises VoidError when one was lost or doubled.
        """
        before = self.mock.counts().requests
        answered: list[int] = []
        try:
            yield answered.append
        finally:
            time.sleep(_SETTLE_S)
            asked = self.mock.counts().requests - before
            if name == "gateway":
                self.books.upstream += asked
                self.books.in_flight += in_flight
        if not 0 <= asked - sum(answered) <= in_flight:
            raise VoidError(f"{name}: {sum(answered)} answers, but the upstream was asked {asked} times")

    def wrk(self, target: Target, *, connections: int, seconds: int) -> Load:
        """A block of whole answers, one compared byte by byte first. Raises VoidError if any is not a 200."""
        with self.watched(target.name, in_flight=connections) as answered:
            reply = ask(target.port, target.key)
            if (reply.status, reply.body) != (http.client.OK, answer_body()):
                raise VoidError(f"{target.name}: status {reply.status}, body {reply.body[:200]!r}")
            result = self.run_wrk(target, [target.key], connections=connections, seconds=seconds)
            answered(result.requests + 1)
        if result.statuses or result.broken:
            raise VoidError(f"{target.name}: {result.statuses} answers not 200, {result.broken} connections broken")
        return load_of(result)

    def run_wrk(self, target: Target, keys: Sequence[str], *, connections: int, seconds: int) -> WrkResult:
        """The same without any check."""
        return run_wrk(self.home, target.port, completion_body(), keys, connections=connections, seconds=seconds)

    @contextmanager
    def another(self, name: str, *options: str, **more: str) -> Iterator["Setting"]:
        """The same with another gateway, started with these options and settings, and with books of its own."""
        assert self.gateway is not None  # noqa: S101 -- asked by the caller
        first = self.gateway
        gateway = make_gateway(
            first.children, self.home / name, [*first.command, *options], self.mock.port, **first.more, **more
        )
        gateway.start()
        try:
            gateway.wait_for_health()
            yield replace(self, gateway=gateway, caller=gateway.add_caller("bench"), books=Books())
        finally:
            gateway.stop()

    def check_ledger(self) -> None:
        """Rows in the gateway's ledger = requests that the mock got through it. Raises VoidError."""
        if not self.gateway or not self.caller:
            return
        gateway, user = self.gateway, self.caller.user_id

        def balanced() -> bool:
            return abs(gateway.ledger_requests(user) - self.books.upstream) <= self.books.in_flight

        try:
            wait_until(balanced, _LEDGER_S, "the ledger balances", every=0.25)
        except TimeoutError as error:
            rows = gateway.ledger_requests(user)
            raise VoidError(f"{rows} rows in the ledger, {self.books.upstream} requests upstream") from error


def load_of(result: WrkResult) -> Load:
    """What the rounds need of wrk's result."""
    return Load(result.requests, result.microseconds / 1e6, result.p50_us, result.p99_us)
