"""Secrets: minted, hashed, compared and presented. Never touches a socket or a log."""
