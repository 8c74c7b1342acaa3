"""Which trials are run again: those that failed, and were not measured since."""

from dataclasses import replace

from tests.report import studies
from tuner.errors import Reason
from tuner.records import Purpose
from tuner.study.failed_trials import failed_trials

CRASHED = studies.failed(1, Reason.CRASHED, "it was gone")
SLOW = replace(
    studies.failed(2, Reason.START_TIMEOUT, "it did not listen"),
    configuration=studies.configuration(7),
)


def test_by_their_reasons() -> None:
    study = studies.study([studies.baseline(), CRASHED, SLOW])
    assert failed_trials(study, [Reason.CRASHED]) == (CRASHED,)
    assert failed_trials(study, list(Reason)) == (CRASHED, SLOW)
    assert failed_trials(study, []) == ()


def test_the_last_trial_of_a_configuration_decides() -> None:
    """One that was measured since is no failure any more; one that failed again is one."""
    since = replace(studies.trial(3, 100.0), configuration=CRASHED.configuration)
    again = replace(SLOW, number=4)
    study = studies.study([studies.baseline(), CRASHED, SLOW, since, again])
    assert failed_trials(study, list(Reason)) == (again,)


def test_those_of_the_search_alone() -> None:
    """Finals and repeats of the baseline are nothing that a search tries again."""
    final = replace(CRASHED, purpose=Purpose.FINAL)
    assert failed_trials(studies.study([studies.baseline(), final]), list(Reason)) == ()
