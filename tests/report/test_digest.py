"""What is shown of a study with more trials than anybody reads."""

from dataclasses import replace

import pytest

from tests.report import studies
from tests.report.studies import loads
from tuner.errors import Reason
from tuner.records import Purpose, StudyRecord, TrialState
from tuner.report import digest


@pytest.fixture(scope="module")
def large() -> StudyRecord:
    """Of 1000 trials the later ones carry more, but 700 to 799 failed, and trial 5 is fastest."""
    trials = [
        studies.trial(
            number,
            float(number + 1),
            points=loads((number + 1.0, 1.0 if number == 5 else 20.0)),
            purpose=Purpose.SEARCH if number else Purpose.BASELINE,
            **(
                {"state": TrialState.FAILED, "reason": Reason.CRASHED}
                if 700 <= number < 800
                else {}
            ),
        )
        for number in range(1000)
    ]
    last = studies.trial(1000, 1.0, purpose=Purpose.FINAL)
    return replace(studies.study([*trials, last]), name="large")


def test_a_small_study_is_shown_whole() -> None:
    """Nothing is said of it."""
    night = studies.night()

    assert digest.shown(night) == night.trials
    assert digest.digest(night, night.trials) is night
    assert digest.about_shown(night, night.trials) == ""


def test_the_best_the_last_failures_the_front_and_all_else_are_shown(large: StudyRecord) -> None:
    """In the order of the study."""
    numbers = [trial.number for trial in digest.shown(large)]

    assert numbers == [0, 5, *range(650, 700), *range(780, 1001)]


def test_where_little_is_feasible_the_nearest_are_shown() -> None:
    """By their latency without load, after what is feasible."""
    trials = [
        studies.trial(
            number,
            unloaded_s=1.0 - number / 1000,
            state=TrialState.FEASIBLE if number == 7 else TrialState.INFEASIBLE,
        )
        for number in range(400)
    ]
    numbers = [trial.number for trial in digest.shown(studies.study(trials))]

    assert numbers == [7, *range(151, 400)]


def test_the_front_may_be_known_already(large: StudyRecord) -> None:
    """A study that was read without its load points has nothing to find it by."""
    bare = digest.digest(large, [])

    assert not any(trial.points for trial in bare.trials)
    assert [t.number for t in digest.shown(bare, [3])][:3] == [0, 3, 650]


def test_what_is_left_out_is_said(large: StudyRecord) -> None:
    """And where it is."""
    assert digest.about_shown(large, digest.shown(large)) == (
        "Shown are 273 of 1,001 trials: the best of the search, the last that failed, those of "
        "the Pareto front, and all for another purpose. `tuner status large --trials` lists them "
        "all, `tuner studies export large` writes all load points."
    )


def test_only_what_is_shown_keeps_its_load_points(large: StudyRecord) -> None:
    """The trials themselves are all there, to be counted."""
    shown = digest.shown(large)
    kept = digest.digest(large, shown)

    assert len(kept.trials) == len(large.trials)
    assert [t.number for t in kept.trials if t.points] == [t.number for t in shown]
    assert digest.shown(kept) == shown
