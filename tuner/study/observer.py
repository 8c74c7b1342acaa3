"""Who is told how a study goes on, while it does."""

from typing import Protocol

from tuner.records import PointRecord, Purpose, TrialRecord
from tuner.space.space import Configuration


class Observer(Protocol):
    """Is told how a study goes on, while it does; `trial_ends` once the trial is stored.

    A phase is told of before each of its load points.
    """

    def trial_begins(
        self, number: int, purpose: Purpose, configuration: Configuration
    ) -> None: ...

    def phase_begins(self, phase: str) -> None: ...

    def point_ends(self, point: PointRecord) -> None: ...

    def trial_ends(self, record: TrialRecord) -> None: ...
