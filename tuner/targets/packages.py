"""Where the packages of this Python lie, without running anything of them."""

import importlib.util
from pathlib import Path


def folder_of(package: str) -> Path | None:
    """The folder of a package; None if it is not installed."""
    found = importlib.util.find_spec(package)
    places = found.submodule_search_locations if found else None
    return Path(places[0]) if places else None
