"""What one request used and costs: built while it runs, settled exactly once, whatever ends it."""

from collections.abc import Mapping

from dominion.domain.contracts import Call, Clock, Exchange, Peek, Receipt, Seen
from dominion.domain.records import Certainty, Outcome, UsageRow
from dominion.domain.usage import Price, Usage
from dominion.rules.limits.estimates import likely_output
from dominion.rules.prices.pricing import charge
from dominion.services.completions.relay import Road
from dominion.services.figures.counters import Counters
from dominion.services.limits.admission import Admission, Hold, soft_cap_passed
from dominion.services.offer.routing import Route

LARGEST_CHARGE = 1 << 53
"""Nano-dollars, nine million dollars: a provider's absurd count must not make a row that no database takes."""


class Meter:
    """The meter of one running request, and where it stands: these are set as it goes on.

    `route`, `exchange`, `shown` (header lines that hold its key), `road` (of streams), `seen` and `lost` belong to the
    attempt under way, `stale` says that the provider refused our proof of who pays, `renewed` that it was made anew for
    this request. `failed` counts attempts.
    """

    failed = 0

    def __init__(
        self,
        call: Call,
        peek: Peek,
        hold: Hold,
        route: Route,
        likely_input: int,
        admission: Admission,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self.call = call
        self.peek = peek
        self.hold = hold
        self.route = route
        self.seen = Seen()
        self.lost: tuple[str, ...] = ()
        self.exchange: Exchange | None = None
        self.shown = (b"", b"")
        self.road: Road | None = None
        self.stale = self.renewed = False
        self.set_cap: int | None = None
        self.row: UsageRow | None = None
        self.likely_input = likely_input
        self._admission = admission
        self._counters = counters
        self._clock = clock
        self._first_ms = 0

    def first_byte(self) -> int:
        """The provider has begun to answer. Milliseconds since the request came."""
        self._first_ms = ms = int((self._clock.monotonic() - self.call.received) * 1000)
        return ms

    def begin_again(self) -> tuple[bool, Mapping[bytes, bytes] | None]:
        """Forget the attempt that failed. Whether `stale`, and the headers of the answer, None: none had begun."""
        self.failed += 1
        stale, self.stale = self.stale, False
        exchange, self.exchange = self.exchange, None
        self.road, self.seen, self.lost = None, Seen(), ()
        return stale, None if exchange is None else exchange.headers

    def settle(self, outcome: Outcome, error: str = "") -> UsageRow:
        """Write the row, once; later calls return the first one. Raises StorageUnavailable."""
        if self.row is None:
            self.row = self._build(outcome, error)
            self._counters.row(self.row)
            self._admission.settle(self.hold, self.row)
        return self.row

    def receipt(self) -> Receipt:
        """What the caller may know now."""
        hold = self.hold
        limit, month = (hold.standing.whole or hold.standing.limits).monthly_spend_nano, hold.month
        return Receipt(
            request_id=self.call.id,
            provider=self.route.slot.row.id,
            model=self.route.sends,
            cost_nano=self.row.cost_nano if self.row else None,
            remaining_nano=None if limit is None else max(0, limit - month.spend - month.held_spend),
            output_cap=self.set_cap,
            lost=self.lost,
            estimated=bool(self.row and self.row.certainty),
            attempts=self.failed + 1,
            warning=soft_cap_passed(hold) if hold.others else "",
            own_key=self.route.own.kind if self.route.own is not None else "",
        )

    def _usage(self, outcome: Outcome) -> tuple[Usage, Certainty]:
        """The provider's word if it finished; else what was seen of it, completed by an estimate."""
        seen = self.seen
        if outcome == Outcome.FAILED:
            return Usage(), Certainty.MEASURED
        if outcome == Outcome.OK and seen.usage is not None:
            return seen.usage, Certainty.MEASURED
        known = seen.usage or Usage(input_tokens=self.likely_input)
        output = max(known.output_tokens, likely_output(seen.frames, seen.content_bytes))
        return (
            Usage(
                input_tokens=known.input_tokens,
                output_tokens=output,
                cache_read_tokens=known.cache_read_tokens,
                cache_write_tokens=known.cache_write_tokens,
                cache_write_1h_tokens=known.cache_write_1h_tokens,
                reasoning_tokens=known.reasoning_tokens,
            ),
            Certainty.ESTIMATED,
        )

    def _build(self, outcome: Outcome, error: str) -> UsageRow:
        usage, certainty = self._usage(outcome)
        price = self.route.price
        cost = 0
        if price is not None and outcome != Outcome.FAILED:
            cost = min(charge(usage, price), LARGEST_CHARGE)
        principal, hold = self.call.principal, self.hold
        return UsageRow(
            id=hold.id,
            at=hold.at,
            user_id=principal.user.id,
            key_id=principal.key_id,
            provider=self.route.slot.row.id,
            model=self.route.sends,
            door=self.call.door.name,
            stream=self.peek.stream,
            outcome=int(outcome),
            certainty=int(certainty),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost_nano=cost,
            latency_ms=int((self._clock.monotonic() - self.call.received) * 1000),
            first_ms=self._first_ms,
            finish=self.seen.finish,
            over_hold=cost > hold.grant.nano or usage.total_tokens > hold.grant.tokens,
            error=error,
            customer=self.call.customer,
            run=self.call.run,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            list_nano=None if self.route.own is None else _at_list(usage, self.route.own.list_price),
        )


def _at_list(usage: Usage, price: Price | None) -> int:
    """What it would have cost; an answer that failed has used nothing."""
    return 0 if price is None or not usage.total_tokens else min(charge(usage, price), LARGEST_CHARGE)
