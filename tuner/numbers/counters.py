"""What counters counted between two readings."""

from collections.abc import Mapping
from typing import Any


def grown(now: Any, before: Any) -> Any:
    """What was added to a number, or to each of several, without those that stayed."""
    if not isinstance(now, Mapping):
        return now - before
    return {key: n - before.get(key, 0) for key, n in now.items() if n != before.get(key, 0)}
