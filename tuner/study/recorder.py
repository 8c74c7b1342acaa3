"""What a study does is written down while it does it, and what is asked of it is heard."""

from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

from tuner.errors import masked
from tuner.records import Phase, PointRecord, Purpose, TrialRecord
from tuner.space.space import Configuration
from tuner.store.events import EventKind
from tuner.store.jobs import ASKED_TO_STOP, JobState, Wanted
from tuner.store.ownership import Hold
from tuner.store.rows import point_document
from tuner.study.deadline import Deadline
from tuner.study.observer import Observer

# Before these steps of a trial it is heard what is asked of the study: what is measured already
# is not thrown away for it.
_HEARS_BEFORE: Sequence[str] = ("apply", "self-check", *(phase.value for phase in Phase))
# While a study is paused, it is looked so often, in seconds, whether it is to go on.
_POLL_S = 0.5


class PauseAsked(Exception):  # noqa: N818 - what a person wants is no error
    """The study is to pause: the trial in progress is given up, and will be repeated."""


class StopAsked(Exception):  # noqa: N818 - what a person wants is no error
    """The study is to end, for the reason `why`; `now` is without finals."""

    def __init__(self, *, now: bool, why: str = ASKED_TO_STOP) -> None:
        super().__init__(why)
        self.now = now
        self.why = why


class Recorder:
    """An Observer for the owner of a study; `observer` is told everything as well."""

    def __init__(self, observer: Observer, hold: Hold) -> None:
        self._observer = observer
        self._hold = hold
        self._trial: int | None = None
        self._phase = ""
        self._wanted = Wanted.NOTHING

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        self._observer.trial_begins(number, purpose, configuration)
        self._trial, self._phase = number, ""
        content = {"purpose": purpose.value, "configuration": dict(configuration)}
        self._record(EventKind.TRIAL_BEGAN, content)

    def phase_begins(self, phase: str) -> None:
        """Before each load point as well.

        Raises:
            PauseAsked, StopAsked: Somebody wants that.
        """
        self._observer.phase_begins(phase)
        if phase != self._phase:
            self._phase = phase
            self._record(EventKind.PHASE_BEGAN, {"phase": phase})
        if phase in _HEARS_BEFORE:
            self._hear()

    def point_ends(self, point: PointRecord) -> None:
        self._observer.point_ends(point)
        self._record(EventKind.POINT_MEASURED, {"point": point_document(point)})

    def trial_ends(self, record: TrialRecord) -> None:
        """It was stored, and with it that it ended."""
        self._observer.trial_ends(record)
        self._trial = None

    def saying(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """`say`, so that others read it as well."""

        def said(text: str) -> None:
            say(text)
            self._record(EventKind.SAID, {"text": masked(text)})

        return said

    def pause(self, deadline: Deadline, nap: Callable[[float], None] | None = None) -> None:
        """Wait until the study is to go on; its time waits, too.

        A `nap` of some seconds passes meanwhile, again and again.

        Raises:
            StopAsked: It is to end instead.
        """
        self._observer.phase_begins("paused")
        self._hold.goes(JobState.PAUSED, left_s=deadline.left_s if deadline.waits else None)
        left_s = deadline.left_s
        while (wanted := self._hold.wanted()) is Wanted.PAUSE:
            (nap or sleep)(_POLL_S)
        deadline.wait(left_s - deadline.left_s)
        self._hold.goes(JobState.RUNNING, ends_at=deadline.ends_at)
        self.hear(wanted)  # what is wanted since then, the next event hears

    def rest(self, seconds: float, deadline: Deadline) -> None:
        """Do nothing for so long, or while a pause that is asked for meanwhile lasts.

        Raises:
            StopAsked: The study is to end instead.
        """
        self._observer.phase_begins("resting")
        self._hold.goes(JobState.RESTING)
        until_s = monotonic() + seconds
        while monotonic() < until_s and self._wanted is Wanted.NOTHING:
            sleep(_POLL_S)
            self._wanted = self._hold.wanted()
        if self._wanted is Wanted.PAUSE:
            self.pause(deadline)
            return
        self._hold.goes(JobState.RUNNING)
        self._hear()

    def hear(self, wanted: Wanted) -> None:
        """What is asked of the study now.

        Raises:
            PauseAsked, StopAsked: Somebody wants that.
        """
        self._wanted = wanted
        self._hear()

    def stops(self, why: str) -> None:
        """What was asked is done: from now on, it can be asked again.

        The study will not have come to its own end, but ended for this reason.
        """
        self._hold.heard()
        self._hold.why = why
        self._wanted = Wanted.NOTHING

    def _hear(self) -> None:
        if self._wanted is Wanted.PAUSE:
            raise PauseAsked
        if self._wanted is not Wanted.NOTHING:
            raise StopAsked(now=self._wanted is Wanted.STOP_NOW)

    def _record(self, kind: EventKind, content: dict[str, Any]) -> None:
        self._wanted = self._hold.record(kind, content, trial=self._trial)
