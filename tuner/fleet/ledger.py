"""The record of a study while it grows: which numbers are taken, what was measured where."""

import heapq
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from tuner.analysis import hosts
from tuner.analysis.hosts import Speeds
from tuner.errors import Reason
from tuner.fleet.errand import Errand, without_measurement
from tuner.fleet.pace import Pace
from tuner.records import Golden, Purpose, StudyRecord, TrialRecord
from tuner.store.storage import Storage
from tuner.study.outputs import golden_of, not_compared, stored_golden


class Ledger:
    """What is known of a study."""

    def __init__(self, study: StudyRecord, storage: Storage, *, tolerance: float | None) -> None:
        self._storage = storage
        self._tolerance = tolerance
        trials = tuple(sorted(study.trials, key=lambda trial: trial.finished_at))
        self.study = replace(study, trials=trials)
        self._speeds: Speeds | None = None
        self.golden = stored_golden(storage, study.name)
        self._answers: dict[str, Golden] = {}
        stored = {trial.number for trial in trials}
        self._next = count(max(stored, default=-1) + 1)
        self._free = [n for n in range(max(stored, default=0)) if n not in stored]
        self._given_up: dict[int, Errand] = {}

    def number(self) -> int:
        """The lowest one that no trial has."""
        return heapq.heappop(self._free) if self._free else next(self._next)

    def release(self, number: int) -> None:
        """The trial is not run after all: another one may have its number."""
        heapq.heappush(self._free, number)

    def give_up(self, errand: Errand) -> None:
        """It was begun, and there will be no record: another one may have its number."""
        self.release(errand.plan.number)
        self._given_up[errand.plan.number] = errand

    def close(self, now: datetime) -> None:
        """Leave no number out: what was given up, and has an earlier one, is said to be so.

        Its proposal is not answered by that, so that a study that goes on begins with it; nor is
        a baseline that was given up that of the study, but a canary.
        """
        last = max((trial.number for trial in self.study.trials), default=-1)
        for number in sorted(each for each in self._given_up if each < last):
            errand = self._given_up[number]
            why = "it was given up, as the study was to end"
            record = without_measurement(errand, Reason.INTERRUPTED, why, now)
            is_baseline = record.purpose is Purpose.BASELINE
            purpose = Purpose.DRIFT if is_baseline else record.purpose
            self.store(replace(record, purpose=purpose, proposal=None))

    def store(self, record: TrialRecord) -> None:
        self._storage.save_trial(self.study.name, record)
        self._given_up.pop(record.number, None)
        self.study = replace(self.study, trials=(*self.study.trials, record))
        if self._is_baseline(record):
            self._speeds = None

    @property
    def speeds(self) -> Speeds:
        """Those that canaries have shown; they are others once more canaries have ended."""
        if self._speeds is None:
            self._speeds = hosts.speeds(self.study.trials)
        return self._speeds

    def pace(self, host: str, now: datetime) -> Pace:
        return Pace(self.speeds.factor(now, host), self.speeds.log_error(now, host))

    def answered(self, baseline: TrialRecord, golden: Golden) -> Sequence[str]:
        """What the server's defaults answer on a host; the hosts that answer otherwise, each once.

        Otherwise than the baseline of the study: what differs is not compared from then on.
        """
        self._answers[baseline.host] = golden
        if baseline.purpose is Purpose.BASELINE:
            self._save_golden(golden)
        if self.golden is None:
            return ()
        answers, self._answers = self._answers, {}
        return [host for host, answer in answers.items() if self._differs(answer)]

    def _differs(self, answer: Golden) -> bool:
        if self.golden is None:
            return False
        both = golden_of([self.golden.outputs, answer.outputs], tolerance=self._tolerance)
        golden = self.golden.beside(both)
        if golden == self.golden:
            return False
        self._save_golden(golden)
        return True

    def _save_golden(self, golden: Golden) -> None:
        self.golden = golden
        self._storage.save_golden(self.study.name, golden)

    @property
    def not_compared(self) -> str:
        """What of the outputs is left out when they are compared, in a sentence; empty if none."""
        if self.golden is None or not self.golden.places:
            return ""
        return not_compared(self.golden.comparison)

    def _is_baseline(self, record: TrialRecord) -> bool:
        if record.purpose in (Purpose.BASELINE, Purpose.DRIFT):
            return True
        baseline = self.study.baseline
        return (
            record.purpose is Purpose.FINAL
            and baseline is not None
            and record.configuration == baseline.configuration
        )
