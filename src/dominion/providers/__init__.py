"""The catalogue: one row of data per provider and model, and the few small files that need code."""
