"""Where a server runs: start one, prove that it listens, stop it."""
