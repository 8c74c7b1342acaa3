"""The charts of the HTML report: what they draw."""

import json
import math
import re
from typing import Any

import pytest
from plotly.offline import get_plotlyjs_version

from tests.report import studies
from tests.report.studies import loads, point
from tuner.analysis.load_curves import load_curves
from tuner.analysis.point_frame import point_frame
from tuner.analysis.standings import standings
from tuner.goals import LatencyBudget, Loop
from tuner.records import ServerStatistics, StudyRecord
from tuner.report import charts, page
from tuner.space.space import Configuration


def budget_chart(study: StudyRecord) -> str:
    curves = load_curves(study, study.budget.percentile)
    return charts.budget_chart(study, point_frame(study), curves)


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


class TestParetoChart:
    def test_intervals_of_the_front(self) -> None:
        """As far as they are known: an end that is not has no bar."""
        points = (
            point(100.0, 0.010, latency_low_s=0.008, latency_high_s=0.013),
            point(200.0, 0.040, latency_low_s=0.030, latency_high_s=math.inf),
        )
        study = studies.study([studies.baseline(200.0, points=points)])
        drawn = traces(charts.pareto_chart(study, standings(study), point_frame(study)))
        front = next(trace for trace in drawn if trace["name"] == "Pareto front")

        assert front["error_y"]["arrayminus"] == pytest.approx([2.0, 10.0])
        assert front["error_y"]["array"] == pytest.approx([3.0, 0.0])

    def test_every_point_is_explained(self) -> None:
        """By its trial, its latency with the interval, and what the configuration changes."""
        points = (point(100.0, 0.010, latency_low_s=0.008, latency_high_s=0.013),)
        other = Configuration.of({**studies.DEFAULTS, "threads": 1})
        study = studies.study(
            [
                studies.baseline(200.0),
                studies.trial(1, 300.0),
                studies.trial(2, 100.0, configuration=other, points=points),
            ]
        )
        drawn = traces(charts.pareto_chart(study, standings(study), point_frame(study)))

        [text] = drawn[0]["hovertext"]
        assert text.split("<br>") == [
            "trial 2 (search)",
            "100 inferences/s",
            "p99 10.0 ms (95 %: 8.00 ms to 13.0 ms)",
            "p50 7.03 ms",
            "threads=1",
        ]

    def test_capacities_with_their_intervals(self) -> None:
        """At the limit: the winner, the defaults and the runner-up."""
        study = studies.night()
        found = standings(study)
        drawn = traces(charts.pareto_chart(study, found, point_frame(study)))
        capacities = [trace for trace in drawn if "error_x" in trace]

        assert [trace["name"] for trace in capacities] == [
            "best configuration",
            "server's defaults",
            "runner-up (trial 8)",
        ]
        assert found.winner is not None
        assert capacities[0]["x"] == [found.winner.throughput]
        assert capacities[0]["y"] == [50.0]
        assert capacities[0]["error_x"]["array"] == pytest.approx(
            [found.winner.high - found.winner.throughput]
        )


class TestSplitChart:
    def test_parts_of_the_latency(self) -> None:
        """One bar for each configuration, with the parts that the server tells."""
        told = ServerStatistics(requests=100, queue_s=0.2, compute_infer_s=0.5)
        study = studies.study([studies.baseline(200.0, statistics=told)])

        drawn = traces(charts.split_chart(study, standings(study)))

        assert [trace["name"] for trace in drawn] == [
            "queue",
            "compute input",
            "compute",
            "compute output",
            "front end, network",
        ]
        assert [trace["x"][0] for trace in drawn[:3]] == pytest.approx([2.0, 0.0, 5.0])

    def test_a_server_that_tells_nothing(self) -> None:
        """Then there is no chart."""
        study = studies.night()

        assert charts.split_chart(study, standings(study)) == ""


def test_draws_with_what_is_on_the_page() -> None:
    """The bundle of plotly.js has scatter and bar, and is of the version of plotly.py."""
    told = ServerStatistics(requests=100, queue_s=0.2, compute_infer_s=0.5)
    study = studies.study([studies.baseline(200.0, statistics=told)])
    found = charts.charts(study, standings(study), point_frame(study), load_curves(study, 99))
    drawn = [
        trace for each in found.values() for chart in each for trace in traces(chart.fragment)
    ]
    version = get_plotlyjs_version()

    assert {trace["type"] for trace in drawn} == {"scatter", "bar"}
    assert (
        page.script()[:400]
        .partition("* plotly.js (basic - minified) v")[2]
        .startswith(version.partition(".")[0] + ".")
    )


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
