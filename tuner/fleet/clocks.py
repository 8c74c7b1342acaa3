"""How far a host's clock is from the driver's, as far as asking for it can tell."""

from collections.abc import Callable
from datetime import UTC, datetime


def offset(theirs_s: float, began: datetime, ended: datetime) -> float:
    """Seconds that a clock is ahead, at least; 0 where it may be right.

    It said `theirs_s` (since 1970) after the moment `began`, and before the moment `ended`.
    """
    early, late = theirs_s - ended.timestamp(), theirs_s - began.timestamp()
    return early if early > 0 else min(late, 0.0)


def asked() -> Callable[[float], float]:
    """Called when a clock is asked; what it returns gives the offset once the clock has said."""
    began = datetime.now(UTC)
    return lambda theirs_s: offset(theirs_s, began, datetime.now(UTC))
