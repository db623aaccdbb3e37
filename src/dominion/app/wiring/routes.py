"""The operator's choices about who is asked, from the settings to the values that the router takes."""

from typing import Any

from dominion.config import Settings
from dominion.rules.routing.breaker import BreakerRules
from dominion.services.completions.router import RouterRules


def router_rules(settings: Settings) -> RouterRules:
    """How often, how long, and in which order."""
    return RouterRules(
        retry_count=settings.retry_count,
        deadline=settings.deadline_seconds,
        longest_wait=settings.longest_wait_seconds,
        wait_before_next=settings.wait_before_next_seconds,
        ordering=settings.ordering,
        weights=settings.weights,
        breaker=BreakerRules(
            share=settings.breaker_share,
            minimum=settings.breaker_minimum,
            window=settings.breaker_window_seconds,
            pause=settings.breaker_pause_seconds,
            longest_pause=settings.breaker_longest_pause_seconds,
        ),
    )


def substitutes(settings: Settings) -> dict[str, Any]:
    """What `Routing` is told of other models than the wanted one."""
    return {
        "fallback": settings.fallback_order if settings.fallback_enabled else (),
        "larger": settings.fallback_larger,
        "ask_first": settings.always_ask,
    }
