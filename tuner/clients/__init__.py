"""Talks to the control plane of a server."""
