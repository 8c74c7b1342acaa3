"""The last lines of a log that may be big."""

import os
from pathlib import Path

_BLOCK_BYTES = 8192
_MOST_BYTES = 1 << 20  # a log without line ends must not fill the memory


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
