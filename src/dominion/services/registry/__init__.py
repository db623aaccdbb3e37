"""The registry of providers and of callers' own keys, as operators change it while the gateway runs."""
