"""What is measured again: the baseline, to see the machine change; then what became doubtful."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.analysis.test_drift import corrected, night, repeat, searched
from tests.report import studies
from tests.report.studies import BEGAN
from tuner.analysis.drift import drift, due
from tuner.errors import Reason
from tuner.records import Purpose, TrialRecord, TrialState


def minutes(number: float) -> datetime:
    return BEGAN + timedelta(minutes=number)


def lasting(trial: TrialRecord, begin: float, end: float) -> TrialRecord:
    """`trial` from minute `begin` to minute `end` of the study."""
    return replace(trial, started_at=minutes(begin), finished_at=minutes(end))


def test_due_after_ten_trials_and_ten_minutes() -> None:
    """Ten trials are not enough in less than ten minutes, and ten minutes not with fewer."""
    first = lasting(repeat(0), 0, 0.25)
    slow = [lasting(searched(n), 2 * n, 2 * n + 2) for n in range(1, 13)]
    fast = [lasting(searched(n), n / 4, n / 4 + 0.25) for n in range(1, 60)]

    assert [due([first, *slow[:n]]) for n in (9, 10)] == [False, True]
    assert [due([first, *fast[:n]]) for n in (20, 39, 40)] == [False, False, True]


def test_due_counts_from_the_last_repeat() -> None:
    """A repeat settles it for the next ten minutes, even one that failed."""
    trials = [lasting(repeat(0), 0, 0.25)]
    trials += [lasting(searched(n), 2 * n, 2 * n + 2) for n in range(1, 25)]
    crashed = replace(studies.failed(25, Reason.CRASHED, "gone"), purpose=Purpose.DRIFT)
    repeated = lasting(crashed, 50, 50.25)
    later = [lasting(searched(n), 2 * n, 2 * n + 2) for n in range(26, 37)]

    assert due(trials)
    assert [due([*trials, repeated, *later[:n]]) for n in (0, 9, 10)] == [False, False, True]


def test_repeats_cost_no_more_than_their_share() -> None:
    """Repeats that last as long as trials wait until all of them are 5 % of the time."""
    trials = [lasting(repeat(0), 0, 2)]
    trials += [lasting(searched(n), 2 * n, 2 * n + 2) for n in range(1, 60)]
    one = lasting(repeat(20), 40, 42)

    assert [due(trials[:n]) for n in (19, 20)] == [False, True]
    assert [due([*trials[:20], one, *trials[21:n]]) for n in (39, 40)] == [False, True]


def test_a_continued_study_looks_at_the_machine_first() -> None:
    """After a pause of ten minutes the baseline comes first, however few trials there were."""
    trials = [lasting(repeat(0), 0, 0.25)]
    trials += [lasting(searched(n), n, n + 1) for n in range(1, 9)]

    assert not due(trials)
    assert not due(trials, minutes(18))
    assert due(trials, minutes(19))


def test_nothing_is_due_without_a_baseline() -> None:
    """A baseline that is not there, or that does not work, is not measured again."""
    trials = [lasting(searched(n), 2 * n, 2 * n + 2) for n in range(1, 30)]
    broken = replace(studies.failed(0, Reason.CRASHED, "gone"), purpose=Purpose.BASELINE)

    assert not due([])
    assert not due(trials)
    assert not due([lasting(broken, 0, 0.25), *trials])
    assert due([lasting(repeat(0), 0, 0.25), *trials])


def test_too_large_a_change_means_measuring_again() -> None:
    """Beyond 25 % the three best of what another speed showed are to be measured again."""
    trials = night([1.0, 1.0, 0.7, 0.7])
    for number, throughput in ((2, 400.0), (3, 410.0), (6, 390.0)):
        trials[number] = searched(number, throughput)

    found = drift(trials)

    assert found.too_large
    assert not found.correctable
    assert found.repeat == (2, 3, 6)


def test_what_was_measured_again_counts_instead() -> None:
    """Once the best were measured again nothing is left to repeat, and only the new ones rank."""
    trials = night([1.0, 1.0, 0.7, 0.7])
    trials[2] = searched(2, 340.0)
    doubtful = [trials[number] for number in drift(trials).repeat]
    for again in doubtful:
        repeated = searched(len(trials), 0.65 * again.throughput)
        trials.append(replace(repeated, configuration=again.configuration))

    found = drift(trials)
    ranked = corrected(trials, trials)

    assert [trial.number for trial in doubtful] == [2, 6, 7]
    assert found.repeat == ()
    assert not {2, 6, 7} & {trial.number for trial in ranked}
    assert ranked[-3].throughput == pytest.approx(340.0 * 0.65 / 0.7)


def test_a_repeat_that_the_tuner_spoiled_counts_for_nothing() -> None:
    """What failed for no fault of its own replaces nothing, but is not tried without end."""
    trials = night([1.0, 1.0, 0.7, 0.7])
    spoiled = studies.failed(20, Reason.CLIENT_OVERLOADED, "too slow")

    assert 1 in drift(trials).repeat
    trials.append(replace(spoiled, configuration=trials[1].configuration))
    assert 1 not in drift(trials).repeat
    assert 1 in [trial.number for trial in corrected(trials, trials)]


def test_back_and_forth_means_measuring_again() -> None:
    """A neighbour who came and went leaves nobody knows how much: measure again, both ways."""
    trials = night([1.0] * 3 + [0.8] * 3 + [1.0] * 3)

    found = drift(trials)

    assert not found.correctable
    assert len(found.blocks) == 3
    assert not found.too_large
    slow = found.blocks[1]
    assert found.repeat
    assert all(found.block(trials[number]) is slow for number in found.repeat)


def test_trials_that_were_stopped_wrongly_are_measured_again() -> None:
    """Stopped as beaten on a machine that had grown slower: once corrected, they beat the best.

    What was measured again, even in the same block, is not repeated once more.
    """
    trials = night([1.0, 1.0, 0.8, 0.8])
    for number in (*range(6, 10), *range(11, 15), *range(16, 20)):
        trials[number] = searched(number, 240.0)  # 300 at most, at the first speed
    trials[13] = searched(13, 250.0)  # 312: the best
    for number, bound in ((12, 310.0), (17, 290.0), (18, 245.0)):
        trials[number] = searched(number, bound, state=TrialState.PRUNED, log_error=math.inf)
    again = replace(searched(20, 245.0), configuration=trials[12].configuration)

    assert drift(trials).correctable
    assert drift(trials).repeat == (12, 17)
    assert drift([*trials, replace(searched(20, 500.0), purpose=Purpose.FINAL)]).repeat == (12, 17)
    assert drift([*trials, again]).repeat == (17,)
