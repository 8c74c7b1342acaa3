"""Servers that already run, as `measure` sees them: one module for each protocol family."""
