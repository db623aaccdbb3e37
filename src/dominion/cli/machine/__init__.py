"""Commands about the gateway on this machine: run it, look at it, back it up."""
