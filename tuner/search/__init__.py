"""Which configuration is tried next; the only door to Optuna."""
