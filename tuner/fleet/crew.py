"""The hosts of a fleet, as the loop of its study sees them: what it asks, and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tuner.capacity.probes import Beat
from tuner.hardware import Hardware
from tuner.records import Golden, PointRecord, TrialRecord
from tuner.study.trial import TrialPlan


@dataclass(frozen=True)
class Attempt:
    """One run of a trial on one host; its `number` is given once in a study, and only rises."""

    number: int
    plan: TrialPlan
    golden: Golden | None = None


@dataclass(frozen=True)
class Joined:
    """A host is ready: it has the server, the model, and the driver's versions."""

    host: str
    hardware: Hardware


@dataclass(frozen=True)
class Refused:
    """A host cannot take part: `why` names what is missing there, `cure` what to do about it."""

    host: str
    why: str
    cure: str
    hardware: Hardware | None = None


@dataclass(frozen=True)
class PhaseBegan:
    host: str
    attempt: int
    phase: str


@dataclass(frozen=True)
class PointEnded:
    host: str
    attempt: int
    point: PointRecord


@dataclass(frozen=True)
class Ended:
    """The trial is over; `golden` is what its outputs are compared with, as `run_trial` says."""

    host: str
    attempt: int
    record: TrialRecord
    golden: Golden | None


@dataclass(frozen=True)
class GivenUp:
    """It was given up as it was asked to be; there is no record."""

    host: str
    attempt: int


@dataclass(frozen=True)
class Broken:
    """The host could not run it, for a reason that is the host's own: its disk, its engine."""

    host: str
    attempt: int
    why: str
    cure: str


@dataclass(frozen=True)
class Lost:
    """The host is gone, or nothing was heard of it for too long; it may join again later."""

    host: str
    why: str


Said = Joined | Refused | PhaseBegan | PointEnded | Ended | GivenUp | Broken | Lost


class Crew(Protocol):
    """Hosts that each run one attempt at a time; none of the methods but `wait` blocks."""

    def begin(self, host: str, attempt: Attempt) -> None:
        """Run it; what comes of it is said by `wait`."""

    def beat(self, host: str, attempt: int, beat: Beat) -> None:
        """Tell a trial that runs what it has to beat by now."""

    def give_up(self, host: str, attempt: int) -> None:
        """End it without a record, and the server with it; answered by GivenUp, or Lost."""

    def rest(self, host: str) -> None:
        """End the host's server until the next attempt begins."""

    def dismiss(self, host: str) -> None:
        """The host is not needed any more: all that runs for the study there ends."""

    def wait(self, timeout_s: float) -> Sequence[Said]:
        """What hosts said, in order; nothing if none did within so many seconds."""
