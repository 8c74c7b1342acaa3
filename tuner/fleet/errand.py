"""A trial on its way to its record: what is to be run, and what came between."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, Self

from tuner.errors import Reason
from tuner.records import Golden, TrialRecord, TrialState
from tuner.study.trial import TrialPlan


@dataclass(frozen=True)
class Errand:
    """A plan that is run, on one host after the other, until there is a record.

    `only` is the host that it is about, where it is about one: a canary. `compared` is whether
    its outputs are compared with the baseline's. The last `host` has run it since `began_at`, as
    that `attempt`. Hosts in `lost` were lost while they ran it, those in `spoilers` have spoiled
    it, and on those in `failed` it failed by itself; they get it last. One loss was `excused`, as
    it was one of several at once.
    """

    plan: TrialPlan
    only: str = ""
    compared: bool = True
    host: str = ""
    attempt: int = 0
    began_at: datetime | None = None
    lost: tuple[str, ...] = ()
    excused: bool = False
    spoilers: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def avoids(self) -> frozenset[str]:
        return frozenset((*self.lost, *self.spoilers, *self.failed))

    def begun(self, host: str, attempt: int, now: datetime) -> Self:
        return replace(self, host=host, attempt=attempt, began_at=now)

    def after_loss(self, host: str) -> Self:
        return replace(self, lost=(*self.lost, host))

    def after_spoiling(self, host: str) -> Self:
        return replace(self, spoilers=(*self.spoilers, host))

    def after_failure(self, host: str) -> Self:
        return replace(self, failed=(*self.failed, host))


@dataclass(frozen=True)
class Result:
    """The record of an errand; `golden` are the outputs that others can be compared with."""

    errand: Errand
    record: TrialRecord
    golden: Golden | None = None


def without_measurement(
    errand: Errand, reason: Reason, message: str, ended_at: datetime
) -> TrialRecord:
    """What is recorded of a trial of which no host has said anything."""
    plan, began_at = errand.plan, errand.began_at or ended_at
    return TrialRecord(
        number=plan.number,
        purpose=plan.purpose,
        proposal=plan.proposal,
        configuration=plan.configuration,
        state=TrialState.FAILED,
        reason=reason,
        message=message,
        timings_s={"total": (ended_at - began_at).total_seconds()},
        seed=plan.seed,
        round=plan.round,
        host=errand.host,
        attempt=errand.attempt,
        started_at=began_at,
        finished_at=ended_at,
    )


class Stage(Protocol):
    """A part of a study: the search, the finals, the proof."""

    @property
    def over(self) -> bool:
        """Whether no host is to run anything more, as soon as those that run have ended."""

    def passes(self) -> None:
        """Time has passed."""

    def next(self, host: str) -> Errand | None:
        """What the host is to run now; None where there is nothing for it, for the moment."""

    def renewed(self, errand: Errand) -> Errand | None:
        """What another host is to run now of an errand that one did not end; None if nothing."""

    def again(self, result: Result) -> Errand | None:
        """What is to be run instead of storing that result; None where it is to be stored.

        Raises:
            TunerError: It ends the study.
        """

    def stored(self, result: Result) -> None:
        """The trial counts from now on."""
