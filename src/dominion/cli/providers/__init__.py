"""The commands of `providers`, for the operator."""
