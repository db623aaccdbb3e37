"""Anthropic's Messages API, also as clouds offer it."""
