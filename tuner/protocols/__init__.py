"""Bytes of requests and of responses; no input or output."""
