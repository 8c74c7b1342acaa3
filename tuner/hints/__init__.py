"""Advice of a catalogue, checked against this host, a server, a model and a study."""
