"""The sealing keys and the places they are kept."""
