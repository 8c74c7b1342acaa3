"""Types of command-line options that refuse what cannot be used."""

import shutil
from argparse import ArgumentTypeError
from pathlib import Path


def program(name: str) -> Path:
    """The program of that name or path.

    Raises:
        ArgumentTypeError: There is none.
    """
    found = shutil.which(name)
    if found is None:
        raise ArgumentTypeError(f"there is no program `{name}`; install it, or give its path")
    return Path(found)


def count(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"a whole number of at least 1 is expected, but got `{text}`")
    return int(text)


def seconds(text: str) -> float:
    """A number above 0.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"a number above 0 is expected, but got `{text}`")
    return number
