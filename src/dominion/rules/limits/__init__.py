"""May a request run, how much is set aside for it, and whose share that is."""
