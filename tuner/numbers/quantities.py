"""Durations and sizes as people write them, with their units."""

import re

LONGEST_H = 1000
"""No duration is longer, in hours."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")
_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_s(text: str) -> float | None:
    """Seconds of `90`, `90s`, `3m` or `1.5h`; None for what is no duration, 0 or too long."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    return seconds if 0 < seconds <= LONGEST_H * 3600 else None


def size_bytes(text: str) -> int:
    """A size as Docker writes it, such as `4g`; 0 for none."""
    if not text:
        return 0
    number = text.rstrip("bkmgBKMG")
    unit = text[len(number) :].lower() or "b"
    return int(float(number) * 1024 ** "bkmg".index(unit))
