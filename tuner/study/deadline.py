"""When a study is to be over."""

import time
from datetime import UTC, datetime, timedelta

from tuner.goals import SearchBudget

# No clock has to show a later moment than this one from now.
_LONGEST_S = 3650 * 86_400.0


class Deadline:
    """After the time of the search budget, without pauses; or at a time of the clock.

    A clock time comes, whatever happened: also on a machine that slept meanwhile, or whose clock
    was set. Durations are those of the monotonic clock.
    """

    def __init__(self, budget: SearchBudget) -> None:
        self._ends_s = time.monotonic() + budget.timeout_s
        self._ends_at = budget.ends_at

    @property
    def left_s(self) -> float:
        """Seconds, negative when it is over."""
        if self._ends_at is not None:
            return (self._ends_at - datetime.now(UTC)).total_seconds()
        return self._ends_s - time.monotonic()

    @property
    def ends_at(self) -> datetime:
        """The moment, if nothing is paused any more."""
        return self._ends_at or _in(self.left_s)

    @property
    def waits(self) -> bool:
        """Whether a pause moves it."""
        return self._ends_at is None

    def wait(self, paused_s: float) -> None:
        """Be over later by what a pause took; a clock time stays what it is."""
        self._ends_s += paused_s


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=min(seconds, _LONGEST_S))
