"""Which shared libraries the dynamic linker of this machine finds by name."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tuner.space.space import SearchSpace

PRELOAD = "LD_PRELOAD"
"""The variable with libraries that go before all others (ld.so(8))."""

_LDCONFIG = ("ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig")
# Where wheels put libraries such as libiomp5.so.
_OF_THIS_PYTHON = Path(sys.prefix) / "lib"


def path_of(name: str) -> Path | None:
    """Where a library such as `libjemalloc.so.2` is: in the linker's cache, or beside Python."""
    beside = _OF_THIS_PYTHON / name
    return beside if beside.is_file() else _cached().get(name)


def usable(space: SearchSpace) -> SearchSpace:
    """Only those values of LD_PRELOAD that the linker would find on this machine."""
    for parameter, name in space.names_of("environment"):
        if name == PRELOAD:
            omit = parameter.sets.omit
            there = [v for v in parameter.choices or () if v == omit or path_of(str(v))]
            space = space.with_choices(parameter.name, there)
    return space


@cache
def _cached() -> Mapping[str, Path]:
    """From `ldconfig -p`, whose lines are `NAME (kind) => PATH` (ldconfig(8))."""
    program = next(filter(None, map(shutil.which, _LDCONFIG)), None)
    if program is None:
        return {}
    shown = subprocess.run([program, "-p"], capture_output=True, text=True, check=False)
    lines = (line.partition("=>") for line in shown.stdout.splitlines())
    # Of several kinds of one name, the first is the one that the linker prefers.
    return {n.split()[0]: Path(p.strip()) for n, arrow, p in reversed(list(lines)) if arrow}
