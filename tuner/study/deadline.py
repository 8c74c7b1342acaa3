"""When a study is to be over."""

from datetime import datetime, timedelta

from tuner.goals import SearchBudget
from tuner.study.clock import Clock

# No clock has to show a later moment than this one from now.
_LONGEST_S = 3650 * 86_400.0


class Deadline:
    """After the time of the search budget, without pauses; or at a time of the clock.

    A clock time comes, whatever happened: also on a machine that slept meanwhile, or whose clock
    was set. Durations are those of the monotonic clock.
    """

    def __init__(self, budget: SearchBudget, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._ends_s = self._clock.monotonic_s() + budget.timeout_s
        self._ends_at = budget.ends_at

    @property
    def left_s(self) -> float:
        """Seconds, negative when it is over."""
        if self._ends_at is not None:
            return (self._ends_at - self._clock.now()).total_seconds()
        return self._ends_s - self._clock.monotonic_s()

    @property
    def ends_at(self) -> datetime:
        """The moment, if nothing is paused any more."""
        return self._ends_at or self._clock.now() + timedelta(seconds=min(self.left_s, _LONGEST_S))

    @property
    def waits(self) -> bool:
        """Whether a pause moves it."""
        return self._ends_at is None

    def wait(self, paused_s: float) -> None:
        """Be over later by what a pause took; a clock time stays what it is."""
        self._ends_s += paused_s
