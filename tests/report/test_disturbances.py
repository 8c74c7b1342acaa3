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
            "The host of this virtual machine ran others during 3 load points (2026-03-07 22:00 "
            "UTC to 22:00, trials 1 and 2); what it spoiled was cut out, and 2 of them were "
            "measured again."
        ),
        (
            "Memory went to the disk and back during 1 load point (2026-03-07 22:00 UTC to 22:00, "
            "trial 1); 1 of them was measured again."
        ),
    )


def test_many_trials_are_counted() -> None:
    """Nobody reads a hundred numbers."""
    trials = [studies.trial(number, points=(point("others", runs=2),)) for number in range(100)]

    [said] = about_disturbances(studies.study(trials))
    assert said == (
        "Other processes took more of the processors than usual during 100 load points "
        "(2026-03-07 22:00 UTC to 22:26, in 100 trials); 100 of them were measured again."
    )
