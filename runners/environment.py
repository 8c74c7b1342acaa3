"""The environment that servers inherit: that of the person who started the tuner."""

import os
from collections.abc import Set

_own: dict[str, str] = {}


def set_own(name: str, value: str) -> None:
    """Set a variable for this process and those that work for it, unless the person has set it.

    Servers do not inherit it.
    """
    if name not in os.environ:
        os.environ[name] = _own[name] = value


def inherited(withheld: Set[str] = frozenset()) -> dict[str, str]:
    """The person's variables but for those `withheld`."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in withheld and _own.get(name) != value
    }


def taken_out(withheld: Set[str]) -> list[str]:
    """Those of the person's variables that are not handed on, by name."""
    return sorted(withheld & inherited().keys())
