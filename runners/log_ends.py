"""The first and the last lines of a log that may be big."""

import itertools
import os
import re
from contextlib import suppress
from pathlib import Path

# What is read at once, and the most that is kept of a line.
_BLOCK_BYTES = 8192
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
            head = [line[:_BLOCK_BYTES] for line in itertools.islice(log, max(0, lines))]
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
        size = path.stat().st_size
        if size > _MOST_BYTES:
            with path.open("rb") as log:
                log.seek(size - _MOST_BYTES)
                end = log.read()
            path.write_bytes(end)


def read_log_tail(path: Path, *, lines: int) -> str:
    """Read backwards from the end; undecodable bytes are replaced, a missing file is empty."""
    try:
        with path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            start, tail = end, b""
            while start > max(0, end - _MOST_BYTES) and tail.count(b"\n") <= lines:
                step = min(_BLOCK_BYTES, start)
                start -= step
                log.seek(start)
                tail = log.read(step) + tail
    except FileNotFoundError:
        return ""
    kept = tail.splitlines()[-lines:] if lines > 0 else []
    return b"\n".join(kept).decode(errors="replace")
