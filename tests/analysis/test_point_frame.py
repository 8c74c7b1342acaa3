"""The load points of a study as a frame."""

from tests.report import studies
from tuner.analysis.pareto import load_points
from tuner.analysis.point_frame import point_frame


def test_has_the_load_points() -> None:
    """Its rows are those of the study."""
    night = studies.night()

    # As a NaN is not equal to itself.
    assert repr(point_frame(night).to_dict("records")) == repr(load_points(night))


def test_of_an_empty_study() -> None:
    """Without trials there are no rows, but all columns with their types."""
    frame = point_frame(studies.study())

    assert frame.empty
    assert frame["within"].dtype == bool
    assert "p95_ms" in frame.columns
