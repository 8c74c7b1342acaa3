"""When the machine was disturbed, in sentences."""

from dataclasses import replace

from tests.report import studies
from tuner.records import PointRecord
from tuner.report.disturbances import about_disturbances


def point(*disturbed: str, runs: int = 1) -> PointRecord:
    return replace(studies.point(100.0, 0.02), disturbed=disturbed, runs=runs)


def test_a_quiet_machine_is_not_spoken_of() -> None:
    """Nothing was disturbed in the night of the tests."""
    assert about_disturbances(studies.night()) == ()


def test_each_kind_says_when_and_what_was_done() -> None:
    """Two kinds in two trials."""
    one = studies.trial(1, points=(point("stolen"), point("stolen", "swap", runs=2)))
    two = studies.trial(2, points=(point("stolen", runs=2), point()))

    assert about_disturbances(studies.study([one, two])) == (
        (
            "The host of this virtual machine ran others during 3 load points of trials 1 and 2, "
            "2026-03-07 22:00 UTC to 22:00; 2 of them were measured more than once. What was "
            "stolen is cut out where that can be done."
        ),
        (
            "Memory went to the disk and back during 1 load point of trial 1, 2026-03-07 22:00 "
            "UTC to 22:00; 1 of them was measured more than once."
        ),
    )


def test_many_trials_are_counted() -> None:
    """Nobody reads a hundred numbers."""
    trials = [studies.trial(number, points=(point("others", runs=2),)) for number in range(600)]

    [said] = about_disturbances(studies.study(trials))
    assert said == (
        "Other processes took more of the processors than before during 600 load points of 600 "
        "trials, 2026-03-07 22:00 UTC to 2026-03-08 00:39 UTC; 600 of them were measured more "
        "than once."
    )
