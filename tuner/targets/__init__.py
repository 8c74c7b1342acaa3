"""Servers that can be tuned."""
