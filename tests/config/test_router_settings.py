"""The settings of router, fallback and aliases: where they are written, and what stops the start."""

from pathlib import Path

import pytest

from dominion.app.wiring.routes import router_rules, substitutes
from dominion.config import load
from dominion.rules.routing.breaker import BreakerRules
from dominion.services.completions.router import RouterRules
from tests.config.test_reading import problems, write

TOML = """
[router]
retry_count = 1
deadline_seconds = 60
longest_wait_seconds = 5
wait_before_next_seconds = 0.5
ordering = "weighted"
weights = { openai = 3, anthropic = 0.5 }
breaker_share = 0.25
breaker_minimum = 4
breaker_window_seconds = 30
breaker_pause_seconds = 1
breaker_longest_pause_seconds = 8

[fallback]
enabled = true
order = ["anthropic/claude-sonnet-4-5", "fast"]
larger = { gpt-4 = "gpt-4o" }
always_ask = true

[aliases]
fast = ["groq/llama-3.1-8b-instant", "openai/gpt-4o-mini"]
"gpt-4o" = "azure_openai/gpt-4o"
"""


def test_without_any_source_the_router_has_its_own_defaults(tmp_path: Path) -> None:
    settings = load({}, folder=tmp_path)
    assert router_rules(settings) == RouterRules()
    assert substitutes(settings) == {"fallback": (), "larger": {}, "ask_first": False}
    assert settings.aliases == {}


@pytest.mark.promise("003-169", "003-170", "003-171")
def test_the_toml_file_says_who_is_asked_and_who_stands_in(tmp_path: Path) -> None:
    settings = load({}, folder=write(tmp_path, toml=TOML))
    assert router_rules(settings) == RouterRules(
        retry_count=1,
        deadline=60,
        longest_wait=5,
        wait_before_next=0.5,
        ordering="weighted",
        weights={"openai": 3, "anthropic": 0.5},
        breaker=BreakerRules(share=0.25, minimum=4, window=30, pause=1, longest_pause=8),
    )
    assert substitutes(settings) == {
        "fallback": ("anthropic/claude-sonnet-4-5", "fast"),
        "larger": {"gpt-4": "gpt-4o"},
        "ask_first": True,
    }
    assert settings.aliases == {
        "fast": ("groq/llama-3.1-8b-instant", "openai/gpt-4o-mini"),
        "gpt-4o": ("azure_openai/gpt-4o",),
    }


def test_tables_are_json_in_the_environment_and_fallback_can_be_switched_off(tmp_path: Path) -> None:
    environ = {
        "ROUTER_WEIGHTS": '{"openai": 2}',
        "FALLBACK_ENABLED": "false",
        "FALLBACK_ORDER": "a/b, c",
        "FALLBACK_LARGER": '{"small": "a/large"}',
        "MODEL_ALIASES": '{"fast": ["a/b"]}',
    }
    settings = load(environ, folder=tmp_path)
    assert settings.weights == {"openai": 2}
    assert settings.fallback_order == ("a/b", "c")
    assert substitutes(settings) == {"fallback": (), "larger": {"small": "a/large"}, "ask_first": False}
    assert settings.aliases == {"fast": ("a/b",)}


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[router]\nordering = 'fastest'", "router.ordering: 'fastest' is none of config, weighted, latency, cost"),
        ("[router]\nweights = { a = -1 }", "router.weights: -1 is not between 0 and 1e+06"),
        ("[router]\nweights = 'many'", "router.weights: is not a table"),
        ("[router]\nbreaker_share = 0", "router.breaker_share: 0 is not between 0.01 and 1"),
        ("[router]\nbreaker_share = 'half'", "router.breaker_share: 'half' is not a number"),
        ("[router]\nretry_counts = 3", "router.retry_counts: unknown key; did you mean router.retry_count?"),
        ("[fallback]\nlarger = { a = 1 }", "fallback.larger: is not a table of texts"),
        ("[aliases]\nfast = []", "aliases: has no model for 'fast'"),
        ("aliases = 'fast'", "aliases: is not a table"),
    ],
)
def test_what_cannot_be_meant_stops_the_start(tmp_path: Path, toml: str, problem: str) -> None:
    assert problems(write(tmp_path, toml=toml)) == [f"dominion.toml: {problem}"]
