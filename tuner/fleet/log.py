"""What a study on a fleet does is written down while it does it, and what is asked is heard."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tuner.fleet.errand import Errand
from tuner.fleet.roster import Host
from tuner.records import PointRecord, TrialRecord
from tuner.store.events import EventKind, Happened
from tuner.store.hosts import HostRecord, HostState
from tuner.store.ownership import Hold
from tuner.store.rows import point_document
from tuner.study.deadline import Deadline
from tuner.study.observer import Observer
from tuner.study.recorder import Recorder

# That a host is in one of these is said by the trials that begin and end.
_SAID_BY_TRIALS = (HostState.READY, HostState.MEASURING)


class FleetObserver(Observer, Protocol):
    """Is told how a study goes on on several hosts: of what one of them does, what is `on` it."""

    def on(self, host: str) -> Observer: ...

    def host_changes(self, host: str, state: str) -> None: ...


class Log:
    """Events are kept until `flush`, which writes all of them at once."""

    def __init__(self, hold: Hold, recorder: Recorder, observer: FleetObserver) -> None:
        self._hold = hold
        self._recorder = recorder
        self._observer = observer
        self._happened: list[Happened] = []

    def begins(self, host: Host, errand: Errand) -> None:
        plan = errand.plan
        self._observer.on(host.name).trial_begins(plan.number, plan.purpose, plan.configuration)
        content = {"purpose": plan.purpose.value, "configuration": dict(plan.configuration)}
        self._append(EventKind.TRIAL_BEGAN, host, errand, content)

    def phase(self, host: Host, errand: Errand, phase: str) -> None:
        self._observer.on(host.name).phase_begins(phase)
        self._append(EventKind.PHASE_BEGAN, host, errand, {"phase": phase})

    def point(self, host: Host, errand: Errand, point: PointRecord) -> None:
        self._observer.on(host.name).point_ends(point)
        self._append(EventKind.POINT_MEASURED, host, errand, {"point": point_document(point)})

    def ends(self, record: TrialRecord) -> None:
        """It was stored, and with it that it ended."""
        self._observer.trial_ends(record)

    def flush(self, hosts: Sequence[HostRecord]) -> None:
        """Write all down, and what the changed `hosts` do."""
        for host in hosts:
            self._observer.host_changes(host.name, host.state)
            if host.state not in _SAID_BY_TRIALS:
                content = {"host": host.name, "state": host.state.value, "why": host.why}
                self._happened.append(Happened(EventKind.HOST_CHANGED, content))
        if self._happened or hosts:
            self._hold.record_all(self._happened, hosts)
            self._happened = []

    def hear(self) -> None:
        """What is asked of the study.

        Raises:
            PauseAsked, StopAsked: Somebody wants that.
        """
        self._recorder.hear(self._hold.wanted())

    def pause(self, deadline: Deadline, nap: Callable[[float], None]) -> None:
        """Wait until the study is to go on; raises as `Recorder.pause` does."""
        self._recorder.pause(deadline, nap)

    def stops(self, why: str) -> None:
        """The study will have ended for this reason, and not by itself."""
        self._recorder.stops(why)

    def _append(
        self, kind: EventKind, host: Host, errand: Errand, content: Mapping[str, Any]
    ) -> None:
        whose = {"host": host.name, "attempt": host.attempt}
        self._happened.append(Happened(kind, {**content, **whose}, errand.plan.number))
