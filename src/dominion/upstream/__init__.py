"""The only sockets to providers for completions."""
