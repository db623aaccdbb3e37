"""Commands of the operator that ask a running gateway."""
