"""What was counted, what it adds up to, and where it leads."""
