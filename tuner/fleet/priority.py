"""Whether a host measures at the priority of any other program: workers of Ray stand back."""

import os
from contextlib import suppress

from tuner.watch.host_checks import Check

_COST = "whatever else runs there goes first, and measurements wait for it"
# Ray's `ray_constants.RAY_WORKER_NICENESS`: 15 without it, which only root may take back.
_CURE = "start Ray there with RAY_worker_niceness=0, or as root"


def restored() -> int:
    """Have nice level 0, with all that is started from now on, if this may be; the level then."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, min(0, _level()))
    return _level()


def check(level: int) -> Check:
    """What is to be said of a host that measures at this nice level."""
    return Check("priority", f"nice level {level}", level <= 0, _COST, _CURE)


def note(level: int) -> str:
    """The same as a sentence that the host's name begins; empty where nothing is to be said."""
    found = check(level)
    return "" if found.fine else f"measures at {found.found}: {found.cost}; {found.cure}"


def _level() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)
