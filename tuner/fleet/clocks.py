"""How far a host's clock is from the driver's, as far as asking for it can tell."""

from datetime import datetime


def offset(theirs_s: float, began: datetime, ended: datetime) -> float:
    """Seconds that a clock is ahead, at least; 0 where it may be right.

    It said `theirs_s` (since 1970) after the moment `began`, and before the moment `ended`.
    """
    early, late = theirs_s - ended.timestamp(), theirs_s - began.timestamp()
    return early if early > 0 else min(late, 0.0)
