"""Finds the server configuration that carries the most traffic within a latency budget.

docs/contributing.md says what its rooms are, from the command line down.

For programs there is `tuner.load_study`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.report.study_data import StudyData, load_study

__all__ = ["StudyData", "__version__", "load_study"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What programs ask for: it brings pandas along, for which no command should wait."""
    if name in ("StudyData", "load_study"):
        return getattr(import_module("tuner.report.study_data"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
