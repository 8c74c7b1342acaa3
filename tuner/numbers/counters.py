"""What counters counted between two readings."""

from collections.abc import Mapping
from typing import Any


def grown(now: Any, before: Any) -> Any:
    """What was added to a number, or to each of several, without those that stayed.

    None is a number that is not known. One that was not known before counts from 0: some servers
    show a counter only once it has counted something.
    """
    if now is None:
        return None
    if not isinstance(now, Mapping):
        return now - (before or 0)
    return {key: n - before.get(key, 0) for key, n in now.items() if n != before.get(key, 0)}
