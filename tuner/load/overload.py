"""Whether an open loop has lost the race, looked at now and then while it runs."""

from collections.abc import Callable

from tuner.load.measurement import LATE
from tuner.load.profile import LoadRun


class OverloadWatch:
    """Applies the `Overload` of `run`; a run without one never ends early."""

    def __init__(self, run: LoadRun) -> None:
        self._overload = run.overload
        # The others of several engine processes would go on, at a part of the load.
        self._is_whole = run.share.of == 1
        self._last_outstanding = self._not_fallen = 0

    def reason(self, spent_s: float, outstanding: int, slower_than: Callable[[float], int]) -> str:
        """Why the run should end, `spent_s` after its start; empty if it should not.

        `slower_than` says how many requests failed or took longer than so many seconds.
        """
        overload = self._overload
        if overload is None:
            return ""
        losing = outstanding > overload.outstanding and outstanding >= self._last_outstanding
        self._not_fallen = self._not_fallen + 1 if losing else 0
        self._last_outstanding = outstanding
        if self._not_fallen >= overload.blocks:
            return "overload"
        if overload.slow_s is None or not self._is_whole or spent_s < overload.after_s:
            return ""
        return LATE if slower_than(overload.slow_s) > overload.forgiven else ""
