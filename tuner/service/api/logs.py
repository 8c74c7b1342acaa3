"""The end of a job's log, fit to be shown: bounded, without control characters and secrets."""

import os
import re
from pathlib import Path

from tuner.errors import masked

MOST_LINES = 10_000
# So much of the end of the file is read, and so much of a line is told.
_MOST_BYTES = 1_000_000
_MOST_CHARACTERS = 2000
# What moves the cursor or colours text (ECMA-48), and other control characters but tabs.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def tail(log: Path, lines: int) -> str:
    """Its last `lines`; empty where there is no such file, or nothing in it."""
    try:
        with log.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _MOST_BYTES))
            content = file.read(_MOST_BYTES)
    except OSError:
        return ""
    found = content.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if size > _MOST_BYTES:
        del found[0]  # begins in the middle
    if found and not found[-1]:
        del found[-1]
    return "".join(f"{_shown(line)}\n" for line in found[-lines:])


def _shown(line: str) -> str:
    # A progress bar writes over itself: the last of it is what a terminal would show.
    last = line.rstrip("\r").rpartition("\r")[2]
    plain = _CONTROLS.sub("", _ESCAPES.sub("", last))
    return masked(plain if len(plain) <= _MOST_CHARACTERS else f"{plain[:_MOST_CHARACTERS]}…")
