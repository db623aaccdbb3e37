"""Commands of the operator and of the caller."""
