"""Users, their keys, and who is calling."""
