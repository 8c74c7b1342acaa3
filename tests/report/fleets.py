"""Builds studies as a fleet leaves them behind: nights of `studies`, on several hosts."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.report import studies
from tests.report.studies import BEST, DEFAULTS, configuration
from tuner.errors import Reason
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState

SPEEDS = {"ada": 1.0, "bob": 1.02, "cleo": 0.8, "dan": 0.99}
"""The speed of each host over that of the first one."""


class Night:
    """A night on a fleet: a host measures what the first would have, times its speed.

    Trials have load points if it is told to keep them.
    """

    def __init__(self, speeds: Mapping[str, float] = SPEEDS, *, points: bool = False) -> None:
        self.speeds = dict(speeds)
        self._points = points
        self.trials: list[TrialRecord] = []

    def run(self, host: str, capacity: float, **wishes: Any) -> TrialRecord:
        number, speed = len(self.trials), self.speeds[host]
        carried, saturation = capacity * speed, 1.15 * capacity * speed
        facts: dict[str, Any] = {
            "host": host,
            "attempt": number + 1,
            "throughput": carried,
            "saturation": saturation,
            "unloaded_s": 0.0075 / speed,
            "points": studies.load_curve(carried, saturation) if self._points else (),
        }
        self.trials.append(studies.trial(number, **(facts | wishes)))
        return self.trials[-1]

    def canary(self, host: str, **wishes: Any) -> TrialRecord:
        purpose = Purpose.DRIFT if self.trials else Purpose.BASELINE
        facts = {"purpose": purpose, "configuration": DEFAULTS, "proposal": None}
        return self.run(host, 152.0, **(facts | wishes))

    def canaries(self) -> None:
        for host in self.speeds:
            self.canary(host)

    def search(self) -> None:
        """Twenty configurations, the best of them on the third host."""
        for number, host in zip(range(1, 21), itertools.cycle(self.speeds), strict=False):
            tried = BEST if number == 3 else configuration(number)
            capacity = 401.0 if number == 3 else 140.0 + 13.0 * ((number * 7) % 19)
            self.run(host, capacity, configuration=tried)

    def finals(self) -> None:
        """Three rounds, each on a host of its own."""
        tried = ((BEST, 398.0), (configuration(8), 340.0), (DEFAULTS, 150.0))
        for start, host in zip(range(3), self.speeds, strict=False):
            for each, capacity in tried:
                facts = {"purpose": Purpose.FINAL, "proposal": None, "round": start}
                carried = capacity * (0.995 + 0.005 * start)
                self.run(host, carried, configuration=each, applied="restart", **facts)

    def study(self) -> StudyRecord:
        return studies.study(self.trials)


def night(speeds: Mapping[str, float] = SPEEDS, *, points: bool = False) -> StudyRecord:
    """A whole one: canaries, search, canaries, finals."""
    found = Night(speeds, points=points)
    found.canaries()
    found.search()
    found.canaries()
    found.finals()
    return found.study()


def failing_canary(found: Night, host: str, reason: Reason = Reason.CRASHED) -> None:
    state = TrialState.FAILED
    record = found.canary(host, state=state, reason=reason)
    found.trials[-1] = replace(record, throughput=0.0, saturation=0.0, unloaded_s=float("nan"))
