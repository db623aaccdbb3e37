"""The gateway's memory: database, journal. Implements the contracts of `domain.contracts`."""
