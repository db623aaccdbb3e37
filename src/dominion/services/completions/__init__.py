"""The life of a completion, from the request of a caller to the row of the ledger."""
