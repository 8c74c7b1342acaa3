"""What comes closest to a latency budget that nothing meets, and by how much."""

import math

import pytest

from tests.analysis.known import known
from tests.report import studies
from tests.report.studies import baseline, loads, point, trial
from tuner.analysis.nearest import nearest_load, nearest_unloaded
from tuner.errors import Reason
from tuner.goals import LatencyBudget
from tuner.records import PointRecord


def test_without_load() -> None:
    """The fastest with one request at a time comes nearest; the failed do not."""
    study = studies.study(
        [
            studies.infeasible(baseline(), unloaded_s=0.090),
            studies.infeasible(trial(1), unloaded_s=0.061),
            studies.failed(2, Reason.CRASHED, "it is gone"),
            studies.infeasible(trial(3), unloaded_s=math.inf),
        ]
    )

    found = known(nearest_unloaded(study))

    assert (found.trial.number, found.latency_s) == (1, 0.061)
    assert [found.over_s, found.factor] == pytest.approx([0.011, 1.22])
    assert (found.throughput, found.concurrency) == (None, None)


def test_of_what_failed() -> None:
    """Where nothing was measured, nothing is near."""
    study = studies.study([studies.failed(0, Reason.CRASHED, "it is gone")])

    assert nearest_unloaded(study) is None
    assert nearest_load(study, study.budget) is None


@pytest.mark.parametrize(
    ("points", "place"),
    [
        (loads((100, 30.0), (200, 25.0)), (200.0, None)),
        ((point(1, 0.025, kind="closed", phase="unloaded"),), (None, None)),
    ],
)
def test_at_a_load(points: tuple[PointRecord, ...], place: tuple[float | None, ...]) -> None:
    """The load that it was measured at is named, unless it was one request at a time."""
    study = studies.study([trial(12, points=points, unloaded_s=0.025)])

    found = known(nearest_load(study, LatencyBudget(99, 0.020)))

    assert (found.throughput, found.concurrency) == place
    assert [found.over_s, found.factor] == pytest.approx([0.005, 1.25])


def test_within_the_limit() -> None:
    """What is fast enough without load, and carries nothing that was measured, is not over it."""
    points = (point(1, 0.008, kind="closed", phase="unloaded"), *loads((100, 30.0)))
    study = studies.study([trial(12, points=points, unloaded_s=0.008)])

    found = known(nearest_load(study, LatencyBudget(99, 0.020)))

    assert [found.over_s, found.factor] == pytest.approx([0.0, 0.4])
