"""Dominion: a self-hosted LLM gateway with one endpoint, one key, every model and no surprise bill.

The public Python API is `dominion.LLM`, and `estimate_cost` and `get_pricing` for prices; it is imported on first use,
so that the server never pays for the client.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dominion.client.llm import LLM as LLM
    from dominion.client.prices import TokenCount as TokenCount
    from dominion.client.prices import estimate_cost as estimate_cost
    from dominion.client.prices import get_pricing as get_pricing

__all__ = ["LLM", "TokenCount", "estimate_cost", "get_pricing"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public API on first use (PEP 562)."""
    if name == "LLM":
        from dominion.client.llm import LLM  # noqa: PLC0415 - lazy, as the next: the server must not load the client

        return LLM
    if name in __all__:
        import dominion.client.prices as prices  # noqa: PLC0415, PLR0402

        return getattr(prices, name)
    raise AttributeError(name)
