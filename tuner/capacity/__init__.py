"""The highest load within the latency budget, found with any `measure` function."""
