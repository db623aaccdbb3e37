"""OpenAI's Chat Completions API, and what compatible providers make of it."""
