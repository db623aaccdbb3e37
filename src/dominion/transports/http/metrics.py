"""The page for Prometheus: the counters as they are at the moment of the question."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from dominion.services.figures.counters import LATENCY_BUCKETS, Counters
from dominion.services.figures.workers import Figures

_ATTEMPTS = (("answered", "Attempts that were answered"), ("failed", "Attempts that failed"))


class MetricsPage(Collector):
    """Renders what `figures` gives."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        """The text of the page."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every family; called by the registry."""
        figures = self._figures()
        c = figures.counters()
        labels = ("door", "provider", "outcome")
        yield _counter("dominion_requests", "Settled completions", labels, c.requests.items())
        yield _counter("dominion_tokens", "Tokens", ("provider", "kind"), c.tokens.items())
        yield _counter("dominion_cost_nano_usd", "Charges in nano-dollars", ("provider",), _single(c.cost_nano))
        yield _counter("dominion_refused", "Requests refused or failed, by code", ("code",), _single(c.refused))
        yield _counter("dominion_uncertain_rows", "Rows not measured", ("certainty",), _single(c.uncertain))
        yield _counter("dominion_attempts_failed", "Failed attempts", ("provider", "code"), c.attempts_failed.items())
        yield _latency(c)
        yield from _attempts(figures.providers)
        for name, value in figures.gauges.items():
            yield GaugeMetricFamily(f"dominion_{name}", name.replace("_", " "), value=value)


def _attempts(slots: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    for kind, text in _ATTEMPTS:
        family = SummaryMetricFamily(f"dominion_attempts_{kind}_seconds", text, labels=("provider",))
        for slot, known in slots.items():
            family.add_metric((slot,), known[kind], known[f"{kind}_ms"] / 1000)
        yield family
    closed = GaugeMetricFamily("dominion_provider_breaker_closed", "1: asked as usual", labels=("provider",))
    for slot, known in slots.items():
        closed.add_metric((slot,), known["state"] == "closed")
    yield closed


def _latency(counters: Counters) -> Metric:
    total, buckets = 0, []
    for edge, count in zip([*[f"{ms / 1000:g}" for ms in LATENCY_BUCKETS], "+Inf"], counters.latency, strict=True):
        total += count
        buckets.append((edge, float(total)))
    family = HistogramMetricFamily("dominion_request_seconds", "Whole requests")
    family.add_metric([], buckets, counters.latency_sum_ms / 1000)
    return family


def _single(counts: Mapping[str, int]) -> Iterable[tuple[tuple[str, ...], int]]:
    return [((name,), count) for name, count in counts.items()]


def _counter(
    name: str, text: str, labels: tuple[str, ...], items: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in items:
        family.add_metric(values, count)
    return family
