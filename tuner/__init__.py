"""Finds the server configuration that carries the most traffic within a latency budget.

The rooms, from the command line down: `cli` and `report` (what a person sees), `study` (the
loop), `trial` (one configuration), `search`, `storage`, `capacity` and `targets` (what a trial
needs), `load`, `space`, `spec` and `hardware` (what those are made of), and, beside this package,
`runners` (where a server runs).

For programs there is `tuner.load_study`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.data import StudyData, load_study

__all__ = ["StudyData", "__version__", "load_study"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What programs ask for: it brings pandas along, for which no command should wait."""
    if name in ("StudyData", "load_study"):
        return getattr(import_module("tuner.data"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
