"""The plot of `tuner measure`: complete, escaped, and without any request to the network."""

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.report.sweep_points import generated, measured, point, statistics
from tests.report.test_html import Page, check_accessible, check_offline
from tuner.load.profile import ClosedLoop, OpenLoop
from tuner.report import sweep_plot
from tuner.sweep.point import SweepPoint
from tuner.sweep.stability import Stability, Window

_EVIL = "<script>alert(1)</script>"
_UNSTABLE = Stability((Window(1, 1), Window(2, 1), Window(3, 1)))


def closed(concurrency: int, throughput: float, latency_s: float = 0.01) -> SweepPoint:
    latencies_s = [latency_s] * 98 + [3 * latency_s] * 2
    measurement = measured(latencies_s, ClosedLoop(concurrency), throughput=throughput)
    return point(measurement, statistics(infer_us=5000))


def rendered(points: Sequence[SweepPoint], percentile: float = 99, *, model: str = "m") -> str:
    return sweep_plot.render(
        points,
        percentile,
        endpoint="http://127.0.0.1:8000",
        model=model,
        started_at=datetime(2026, 3, 7, 22, 0, tzinfo=UTC),
    )


def traces(page: str, chart: str) -> list[dict[str, Any]]:
    """What plotly.js is told to draw."""
    [found] = re.findall(rf'"{chart}",\s*(\[.*?\]),\s*\{{"template"', page)
    content: list[dict[str, Any]] = json.loads(found)
    return content


def test_looks_like_the_report() -> None:
    """The style sheet is that of a study's report; plotly.js is there once, and no network."""
    source = rendered([closed(1, 100)])

    check_offline(Page(source))
    check_accessible(Page(source))
    assert "--page: #ffffff" in Page(source).styles
    assert source.count("* plotly.js (basic - minified) v") == 1


def test_percentiles_over_throughput() -> None:
    """Each percentile is a line through the points, the one that was asked for among them."""
    lines = traces(rendered([closed(1, 100), closed(2, 150, 0.02)], 90), "curve")

    assert [line["name"] for line in lines] == ["p50", "p90", "p95", "p99"]
    assert [line["x"] for line in lines] == [[100, 150]] * 4
    assert [line["y"] for line in lines] == [[10, 20], [10, 20], [10, 20], [30, 60]]
    assert lines[3]["hovertext"] == [
        "concurrency 1<br>100 inferences/s<br>p99 30.0 ms",
        "concurrency 2<br>150 inferences/s<br>p99 60.0 ms",
    ]


def test_parts_of_the_mean() -> None:
    """Below, a bar for each load shows what the mean is made of; together they are the mean."""
    bars = traces(rendered([closed(1, 100)]), "parts")

    assert [bar["name"] for bar in bars] == [
        "Client Send",
        "Network+Server Send/Recv",
        "Server Queue",
        "Server Compute Input",
        "Server Compute Infer",
        "Server Compute Output",
        "Client Recv",
    ]
    assert all(bar["x"] == ["concurrency 1"] for bar in bars)
    assert math.isclose(math.fsum(bar["y"][0] for bar in bars), 10.4)
    assert bars[4]["hovertext"] == ["concurrency 1: Server Compute Infer 5.00 ms"]


def test_without_statistics() -> None:
    """Of a server that does not tell, there are no bars."""
    source = rendered([point(measured([0.01]))])

    assert 'id="curve"' in source
    assert 'id="parts"' not in source
    assert "What the mean latency is made of" not in source


def test_the_numbers() -> None:
    """The page has a table of the same numbers."""
    failing = point(measured([0.01, 0.02, math.inf], ClosedLoop(2), errors={"http_503": 1}))
    page = Page(rendered([closed(1, 100), failing]))

    assert [row for row in page.rows if row[0] != "Load"] == [
        ["concurrency 1", "100", "10.4 ms", "10.0 ms", "10.0 ms", "30.0 ms", "0 of 100"],
        ["concurrency 2", "69.2", "15.0 ms", "20.0 ms", "∞", "∞", "1 of 3"],
    ]


def test_what_failed_is_not_drawn() -> None:
    """An infinite percentile has no place on the chart, and leaves the others theirs."""
    failing = point(measured([0.01, 0.02, math.inf], ClosedLoop(2)))
    lines = traces(rendered([failing]), "curve")

    assert [line["y"] for line in lines] == [[20], [None], [None]]
    nothing = rendered([point(measured([math.inf], throughput=0))])
    assert [line["y"] for line in traces(nothing, "curve")] == [[None]] * 3
    assert "- inferences/s at most, at concurrency 1: p99 ∞" in nothing


def test_doubts() -> None:
    """A point that may mislead is a cross, says why, and is not the headline."""
    late = measured([0.01], OpenLoop(500), throughput=900, send_lag_p99_s=0.5)
    source = rendered([closed(1, 100), point(late, stability=_UNSTABLE)])
    page, [line, *_] = Page(source), traces(source, "curve")

    overloaded = "the client was overloaded: requests left 500.0 ms late (p99)"
    assert "100 inferences/s at most, at concurrency 1: p99 30.0 ms" in page.text
    assert f"500 requests/s (poisson): {overloaded}" in page.text
    assert f"500 requests/s (poisson): {_UNSTABLE}" in page.text
    assert "A thin cross may say less" in page.text
    assert line["marker"]["symbol"] == ["circle", "x-thin-open"]
    assert line["hovertext"][1].endswith(f"{overloaded}<br>{_UNSTABLE}")
    assert "A thin cross" not in rendered([closed(1, 100)])
    only = rendered([point(late)])
    assert "900 inferences/s at most, at 500 requests/s (poisson): p99 10.0 ms" in only


def test_says_where_and_when() -> None:
    """Model, endpoint and time are told, and none of them is ever markup."""
    source = rendered([closed(1, 100)], model=_EVIL)

    assert (
        f"model {_EVIL} at http://127.0.0.1:8000, measured 2026-03-07 22:00 UTC"
        in Page(source).text
    )
    assert _EVIL not in source


def test_tokens() -> None:
    """TTFT and ITL of output tokens are drawn against tokens per second, and listed."""
    points = [
        point(generated([0.1, 0.3], [0.02, 0.03], ClosedLoop(1), throughput=2)),
        point(generated([0.2] * 4, [0.04] * 4, ClosedLoop(2), throughput=4)),
    ]
    source = rendered(points)
    page, lines = Page(source), traces(source, "TTFT")

    check_accessible(page)
    assert "4.00 requests/s with 8.80 output tokens/s at most, at concurrency 2: " in page.text
    assert "p99 of TTFT 200 ms and ITL 40.0 ms" in page.text
    assert [line["name"] for line in lines] == ["p50", "p95", "p99"]
    assert lines[2]["x"] == [4.4, 8.8]
    assert lines[2]["y"] == [300, 200]
    assert [line["y"] for line in traces(source, "ITL")] == [[20, 40], [30, 40], [30, 40]]
    assert ["concurrency 2", "8.80", *["200 ms"] * 3, *["40.0 ms"] * 3] in page.rows
    assert "output tokens/s" not in Page(rendered([closed(1, 100)])).text
