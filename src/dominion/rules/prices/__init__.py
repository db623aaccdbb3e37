"""What a use costs, at which price, and whether the provider agrees."""
