"""The operator's prices, quotes, and corrections of what was charged."""
