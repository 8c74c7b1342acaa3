"""The charts of the HTML report: what they draw."""

import json
import math
import re
from typing import Any

import pytest

from tests.report import studies
from tests.report.studies import loads, point
from tuner.analysis.point_frame import point_frame
from tuner.analysis.standings import standings
from tuner.goals import LatencyBudget, Loop
from tuner.records import StudyRecord
from tuner.report import charts


def budget_chart(study: StudyRecord) -> str:
    return charts.budget_chart(study, point_frame(study))


def traces(fragment: str) -> list[dict[str, Any]]:
    """What Plotly is told to draw."""
    found = re.search(r"Plotly\.newPlot\(\s*\"[^\"]+\",\s*", fragment)
    assert found is not None
    drawn, _ = json.JSONDecoder().raw_decode(fragment[found.end() :])
    return list(drawn)


def study_of(*places: tuple[float, float], **wishes: Any) -> StudyRecord:
    """The baseline with load points of inferences per second and milliseconds."""
    return studies.study([studies.baseline(100.0, points=loads(*places))], **wishes)


class TestBudgetChart:
    def test_draws_the_best_of_each_limit_and_the_defaults(self) -> None:
        """Each from the lowest to the highest latency that was measured."""
        solid, dotted, defaults, _ = traces(budget_chart(studies.night()))

        assert solid["name"] == dotted["name"] == "best configuration of each limit"
        assert defaults["name"] == "server's defaults"
        assert solid["y"] == sorted(solid["y"])
        assert 390 < max(y for x, y in zip(solid["x"], solid["y"], strict=True) if x < 50) < 400
        assert max(defaults["y"]) < min(max(solid["y"]), 200)
        assert "trial 2<br>dynamic_batching=true" in solid["hovertext"][-1]

    def test_dots_what_is_a_lower_bound(self) -> None:
        """Where no load was over the limit the line goes on in dots, without a name of its own."""
        lines = traces(budget_chart(study_of((100, 10), (200, 40), (150, 50))))

        assert [line["line"]["dash"] for line in lines] == ["solid", "dot"] * 2
        assert [line["showlegend"] for line in lines] == [True, False] * 2
        solid, dotted = lines[:2]
        assert max(solid["x"]) < 40 < max(dotted["x"]) == pytest.approx(50)
        assert set(dotted["y"]) == {200.0}
        assert "(at least) within" in dotted["hovertext"][0]

    def test_draws_the_limit_of_the_study(self) -> None:
        """The study's own budget stands across the chart."""
        chart = budget_chart(study_of((100, 10), (200, 40), budget=LatencyBudget(95, 0.03)))

        assert "budget: p95 \\u2264 30 ms" in chart
        assert '"x0":30.0,"x1":30.0' in chart
        assert "p95 latency limit (ms), logarithmic" in chart

    def test_of_no_latency(self) -> None:
        """Where every load was overloaded there is nothing to draw."""
        assert budget_chart(study_of((100, math.inf))) == ""
        assert budget_chart(studies.study()) == ""


def test_load_curves_of_closed_loops() -> None:
    """Where the study loads in a closed loop the curve is that of the search."""
    points = (
        point(1, 0.004, kind="closed", phase="unloaded"),
        point(8, 0.020, kind="closed", throughput=400.0),
        point(4, 0.010, kind="closed", throughput=300.0),
    )
    study = studies.study([studies.baseline(400.0, points=points)], arrivals=Loop.CLOSED)

    (curve,) = traces(charts.load_curves(study, standings(study)))

    assert curve["x"] == [300.0, 400.0]
