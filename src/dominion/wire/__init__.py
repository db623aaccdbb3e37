"""Dialects: bytes to values and back, for both roles. Never touches a socket, a clock or a file."""
