"""Finds the server configuration that carries the most traffic within a latency budget.

The rooms, from the command line down: `cli` and `report` (what a person sees), `study` (the
loop), `trial` (one configuration), `search`, `storage`, `capacity` and `targets` (what a trial
needs), `load`, `space`, `spec` and `hardware` (what those are made of), and, beside this package,
`runners` (where a server runs).
"""

__version__ = "0.1.0"
