"""The completion service over memory stores, asking scripted providers on a clock that tests move."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dominion.domain.allowances import ScopeLimits
from dominion.domain.contracts import Authority, Call, Exchange, Receipt
from dominion.domain.errors import NetworkFailure, ProviderError, UnknownModel
from dominion.domain.people import Limits, Principal, User
from dominion.domain.providers import ModelRow, Origin, ProviderRow, Slot, Target
from dominion.domain.records import UsageRow
from dominion.domain.usage import Price
from dominion.services.completions.completion import Completions, Rules
from dominion.services.completions.fallback_audit import FallbackAudit
from dominion.services.completions.router import Listeners, Router, RouterRules
from dominion.services.figures.counters import Counters
from dominion.services.limits.admission import Admission
from dominion.services.limits.posting import Posting
from dominion.services.limits.scopes import Scopes
from dominion.services.offer.lineup import Lineup
from dominion.services.offer.routing import Routing
from dominion.stores.memory.accounts import MemoryJournal, MemoryLedger
from dominion.stores.memory.allowances import MemoryBudgets
from dominion.stores.memory.attempts import MemoryAttempts
from dominion.stores.memory.registry import MemoryAudit
from dominion.wire.anthropic.dialect import ANTHROPIC_MESSAGES
from dominion.wire.fields import read_fields
from dominion.wire.openai_chat.dialect import OPENAI_CHAT
from tests.services.clocks import HandClock

JSON, EVENTS = {b"content-type": b"application/json"}, {b"content-type": b"text/event-stream"}
CHEAP, DEAR = Price(input=1_000_000, output=2_000_000), Price(input=10_000_000, output=20_000_000)


class Played:
    """Implements `domain.contracts.Exchange`: `chunks` come one by one; an error among them is raised in its turn."""

    def __init__(self, status: int, headers: Mapping[bytes, bytes], *chunks: bytes | ProviderError) -> None:
        self.status = status
        self.headers = headers
        self.closed = False
        self._chunks = list(chunks)

    async def chunk(self) -> bytes:
        piece = self._chunks.pop(0) if self._chunks else b""
        if isinstance(piece, ProviderError):
            raise piece
        return piece

    async def read(self, limit: int) -> bytes:
        body = b""
        while piece := await self.chunk():
            body += piece
        assert len(body) <= limit
        return body

    def close(self) -> None:
        self.closed = True


Play = Played | ProviderError | asyncio.Event | Callable[[], Played]
"""An event is waited for, then comes the next play."""


def well(text: str = "Hello!") -> Played:
    """A whole answer of seven tokens."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
    body = json.dumps({"id": "c1", "model": "m", "choices": [choice], "usage": usage}).encode()
    return Played(200, {**JSON, b"content-length": b"%d" % len(body)}, body)


def failing(status: int, message: str = "down", **headers: str) -> Played:
    """An error answer; underscores in the names of headers stand for hyphens."""
    told = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Played(status, JSON | told, json.dumps({"error": {"message": message, "type": "x"}}).encode())


def event(**fields: Any) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def text_event(text: str) -> bytes:
    """A piece of text."""
    return event(id="c1", model="m", choices=[{"index": 0, "delta": {"content": text}}])


END = event(id="c1", choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]) + b"data: [DONE]\n\n"


def streamed(*pieces: bytes | ProviderError) -> Played:
    """A stream of these."""
    return Played(200, EVENTS, *pieces)


def unsent() -> NetworkFailure:
    """Nothing has left."""
    error = NetworkFailure("refused")
    error.sent = False
    return error


def closed() -> NetworkFailure:
    """The connection was closed without a byte of an answer."""
    error = NetworkFailure("eof")
    error.unanswered = True
    return error


class Upstream:
    """Implements `domain.contracts.Upstream`: each provider answers its plays in turn."""

    def __init__(self) -> None:
        self.plays: defaultdict[str, list[Play]] = defaultdict(list)
        self.asked: list[str] = []
        self.sent: list[tuple[bytes, bytes]] = []
        self.exchanges: list[Played] = []
        self.waiting = asyncio.Event()

    async def send(self, target: Target, body: bytes, extra: bytes = b"") -> Exchange:
        self.asked.append(target.origin.host)
        self.sent.append((body, extra))
        plays = self.plays[target.origin.host]
        play = plays.pop(0)
        if isinstance(play, asyncio.Event):
            self.waiting.set()
            await play.wait()
            play = plays.pop(0)
        if isinstance(play, ProviderError):
            raise play
        assert not isinstance(play, asyncio.Event)
        exchange = play if isinstance(play, Played) else play()
        self.exchanges.append(exchange)
        return exchange


class Heard:
    """Implements `domain.contracts.Reply`."""

    def __init__(self) -> None:
        self.started = False
        self.body = b""
        self.receipt: Receipt | None = None

    async def whole(self, body: bytes, receipt: Receipt) -> None:
        self.body, self.receipt = body, receipt

    async def start(self, stream_type: bytes, receipt: Receipt) -> None:
        assert stream_type
        self.started, self.receipt = True, receipt

    async def write(self, chunk: bytes) -> None:
        assert self.started
        self.body += chunk

    async def end(self, chunk: bytes) -> None:
        self.body += chunk


class Everywhere:
    """A `Resolver` by a table of model names."""

    def __init__(self, models: Mapping[str, Sequence[tuple[str, int]]]) -> None:
        self._models = models

    def resolve(self, model: str, provider: str, slots: Sequence[Slot]) -> list[tuple[Slot, str, ModelRow | None]]:
        assert provider == "auto"
        found = {slot.row.id: slot for slot in slots}
        if model not in self._models:
            raise UnknownModel(f"No provider here serves a model {model!r}.")
        return [
            (found[name], model, ModelRow(id=model, provider=name, max_output=most))
            for name, most in self._models[model]
        ]


class House:
    """`models` are the providers of each model with the longest output; `prices` in place of CHEAP, by provider."""

    def __init__(
        self,
        *names: str,
        rules: RouterRules | None = None,
        models: Mapping[str, Sequence[tuple[str, int]]] | None = None,
        prices: Mapping[str, Price | None] | None = None,
        limits: Limits | None = None,
        authority: Authority | None = None,
        chance: Callable[[], float] = lambda: 0.5,
        fallback: Sequence[str] = (),
        larger: Mapping[str, str] | None = None,
        ask_first: bool = False,
        aliases: Mapping[str, Sequence[str]] | None = None,
        wire: str = "openai_chat",
    ) -> None:
        self.clock = HandClock()
        self.upstream = Upstream()
        self.slept: list[float] = []
        self.counters = Counters()
        self.ledger = MemoryLedger()
        self.journal = MemoryJournal()
        self.attempts = MemoryAttempts(self.ledger)
        self.posting = Posting(self.journal, self.ledger, self.attempts)
        self.audit = MemoryAudit(b"a" * 32)
        self.stood_in = FallbackAudit(self.audit, self.clock)
        self.admission = Admission(self.ledger, self.posting, self.clock, 60.0)
        told = Listeners(self.posting.note, self.stood_in.note)
        self.router = Router(rules or RouterRules(), self.counters, self.clock, chance, self._sleep, told)
        self.user = User("usr_1", "A", None, "active", limits or Limits(), 0)
        self._count = 0
        routing = Routing(
            Everywhere(models or {"m": [(name, 0) for name in names]}),
            Lineup([_slot(name, wire) for name in names], dict.fromkeys(names, authority) if authority else {}),
            {dialect.name: dialect for dialect in (OPENAI_CHAT, ANTHROPIC_MESSAGES)},
            lambda provider, _model, _at: (prices or {}).get(provider, CHEAP),
            self.clock,
            fallback=fallback,
            larger=larger,
            ask_first=ask_first,
            aliases=aliases,
        )
        self.budgets = MemoryBudgets()
        self.scopes = Scopes(self.budgets, self.ledger, self.posting, self.admission)
        self.completions = Completions(
            routing,
            self.admission,
            self.upstream,
            self.counters,
            self.clock,
            Rules(1000, 1, False),
            self.router,
            self.scopes,
        )

    def play(self, name: str, *plays: Play) -> None:
        """What a provider answers from now on."""
        self.upstream.plays[name] += plays

    async def ask(self, **fields: Any) -> Heard:
        """Answer one call; arguments as those of `call`."""
        heard = Heard()
        await self.completions.answer(self.call(**fields), heard)
        return heard

    def call(
        self,
        *,
        stream: bool = False,
        model: str = "m",
        first: bool = False,
        accept: str = "",
        key: str = "k1",
        labels: tuple[str, str] = ("", ""),
        **fields: Any,
    ) -> Call:
        """One call at the door of OpenAI chat; `first`: be asked before another model answers; `labels` are those of
        the customer and of the run."""
        turns = [{"role": "user", "content": "Hi"}]
        body = json.dumps({"model": model, "messages": turns, "stream": stream, **fields}).encode()
        self._count += 1
        principal = Principal(self.user, key)
        return Call(
            id=f"req_{self._count}",
            door=OPENAI_CHAT,
            fields=read_fields(body),
            size=len(body),
            principal=principal,
            received=self.clock.monotonic(),
            carried={},
            ask=first,
            accept=accept,
            customer=labels[0],
            run=labels[1],
        )

    async def budget(self, scope: str, **limits: Any) -> None:
        """Set limits of a scope."""
        await self.budgets.put_budget(scope, ScopeLimits(**limits), int(self.clock.now()))
        await self.scopes.load()

    def asked(self) -> str:
        """The providers that were asked since the last question, by their first letters."""
        asked, self.upstream.asked = self.upstream.asked, []
        return "".join(name[0] for name in asked)

    async def rows(self) -> list[UsageRow]:
        """The ledger."""
        await self.posting.flush()
        return await self.ledger.rows(user_id=None, limit=1000)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.move(seconds)
        await asyncio.sleep(0)


def _slot(name: str, wire: str) -> Slot:
    row = ProviderRow(id=name, name=name.title(), base_url=f"http://{name}", wire=wire)
    return Slot(row, Target(Origin("http", name, 80), b"POST /v1/chat/completions HTTP/1.1\r\n"))
