"""The first and the last lines of a log that may be big."""

import itertools
import os
import re
from contextlib import suppress
from pathlib import Path

# The most that is kept of one of the first lines.
_LONGEST_BYTES = 8192
# As getopt(3) and most others write it; Python's argparse says `unrecognized arguments`.
_COMPLAINT = re.compile(
    r"^.*\b(?:unrecognized|unknown|invalid) (?:option|argument).*$", re.MULTILINE | re.IGNORECASE
)
COMPLAINT_LINES = 1000
"""A program that does not know a flag goes on to list those that it knows."""

_MOST_BYTES = 1 << 20  # a log without line ends must not fill the memory


def read_log_head(path: Path, *, lines: int) -> str:
    """Its first `lines`; undecodable bytes are replaced, a missing file is empty."""
    try:
        with path.open("rb") as log:
            head = [line[:_LONGEST_BYTES] for line in itertools.islice(log, max(0, lines))]
    except FileNotFoundError:
        return ""
    return b"".join(head).decode(errors="replace").rstrip("\n")


def complaint(log: str) -> str:
    """What a program said of an option that it does not know; empty if it said nothing."""
    said = _COMPLAINT.search(log)
    return said[0].strip() if said else ""


def shorten(path: Path) -> None:
    """Keep the end of a log that is large: it is read no more, but a study has many."""
    with suppress(OSError):
        if path.stat().st_size > _MOST_BYTES:
            path.write_bytes(_end(path))


def read_log_tail(path: Path, *, lines: int) -> str:
    """Its last `lines`; undecodable bytes are replaced, a missing file is empty."""
    try:
        kept = _end(path).splitlines()[-lines:] if lines > 0 else []
    except FileNotFoundError:
        return ""
    return b"\n".join(kept).decode(errors="replace")


def _end(path: Path) -> bytes:
    with path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _MOST_BYTES))
        return log.read(_MOST_BYTES)
