"""A machine that spoils trials is left alone for a while, instead of for nothing all night."""

from collections.abc import Callable

from tuner.errors import Reason
from tuner.records import NOT_ITS_FAULT, TrialRecord
from tuner.study.deadline import Deadline
from tuner.study.recorder import Recorder, StopAsked

# How long each rest in a row is, in seconds; after the last one the study ends.
_RESTS_S = (60.0, 300.0, 900.0)
_CURES = {
    Reason.CLIENT_OVERLOADED: "end what else runs on this machine, or give the load engine "
    "processors of its own: `--engine-cpus`",
    Reason.INTERRUPTED: "find out who ends processes of this machine",
}


class Rests:
    """Rests in a row; `say` is told why, and what to do about it."""

    def __init__(self, recorder: Recorder, deadline: Deadline, say: Callable[[str], None]) -> None:
        self._recorder = recorder
        self._deadline = deadline
        self._say = say
        self._taken = 0

    def after(self, record: TrialRecord) -> None:
        """Rest, if the machine spoiled this trial, however often it was run.

        Raises:
            StopAsked: It did not get better, or somebody wants the study to end.
        """
        if record.reason not in NOT_ITS_FAULT or record.reason is None:
            self._taken = 0
            return
        self.rest(f"{record.reason.value}: {record.message}", _CURES[record.reason])

    def rest(self, why: str, cure: str) -> None:
        """Rest, longer each time; raises as `after` does."""
        if self._taken == len(_RESTS_S):
            raise StopAsked(now=True, why=f"this machine spoiled its trials ({why}): {cure}")
        length_s = _RESTS_S[self._taken]
        self._taken += 1
        if length_s > self._deadline.left_s:  # better a trial that may be spoiled than none
            return
        self._say(
            f"this machine spoils trials ({why}); {cure}; the study rests for {length_s:.0f} s"
        )
        self._recorder.rest(length_s, self._deadline)
