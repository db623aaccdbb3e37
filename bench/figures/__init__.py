"""One file per figure; each takes the running bench and returns rows for the table."""
