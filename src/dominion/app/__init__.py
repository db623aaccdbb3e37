"""The composition root: settings in, a running gateway out. The only package that knows everyone."""

from dominion.app.gateway import Ready, main, serve

__all__ = ["Ready", "main", "serve"]
