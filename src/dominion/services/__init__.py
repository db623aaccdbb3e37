"""What the gateway does. Knows contracts, never stores, sockets or settings."""
