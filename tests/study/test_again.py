"""What is known of a configuration that is measured once more."""

from dataclasses import replace

import pytest

from tests.report import studies
from tuner.capacity.open_search import duration_s
from tuner.capacity.probes import Expected
from tuner.records import PointRecord, TrialRecord
from tuner.study.again import expected, stretch

NIGHT = studies.night()


def test_expected() -> None:
    """What the search found of it, not the finals; nothing of one that met the budget nowhere."""
    assert expected(NIGHT, studies.BEST) == Expected(401.0, 1.15 * 401.0)
    [slow] = [t for t in NIGHT.trials if t.number == 4]
    assert expected(NIGHT, slow.configuration) is None


def lasted(share: float, *, stopped: str = "") -> PointRecord:
    """A load point that took so many times what is usual."""
    usual_s = duration_s(NIGHT.budget, 200.0, studies.trial(0).unloaded_s)
    point = studies.point(200.0, 0.02)
    return replace(point, duration_s=share * usual_s, stopped_early=stopped)


def start(*points: PointRecord) -> TrialRecord:
    return replace(studies.trial(0, 200.0), points=points)


def test_stretch() -> None:
    """As long as most load points were that came to their end; without any, as usual."""
    starts = [
        start(lasted(2.0), lasted(0.1, stopped="late"), lasted(2.0)),
        start(lasted(2.0), lasted(1.5)),
    ]

    assert stretch(NIGHT, starts) == pytest.approx(2.0)
    assert stretch(NIGHT, [start(lasted(0.1, stopped="late"))]) == 1.0
