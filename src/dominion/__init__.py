"""Dominion: a self-hosted LLM gateway with one endpoint, one key, every model and no surprise bill.

The public Python API is `dominion.LLM`; it is imported on first use, so that the server never pays for the client.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dominion.client.llm import LLM as LLM

__all__ = ["LLM"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public API on first use (PEP 562)."""
    if name == "LLM":
        from dominion.client.llm import LLM  # noqa: PLC0415 - the one lazy import: the server must not load the client

        return LLM
    raise AttributeError(name)
