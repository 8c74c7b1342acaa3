"""The commands of `tuner`, one module for each group; only these and cli.py print."""
