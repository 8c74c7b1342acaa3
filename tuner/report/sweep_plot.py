"""Latency against throughput of the load points of `tuner measure`, as one HTML file to keep.

It looks like the report of a study, and like it loads nothing from anywhere.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import plotly.graph_objects as go

from tuner.report import formats, page
from tuner.sweep.point import SweepPoint, latency_parts_s

_PERCENTILES = (50.0, 95.0, 99.0)
_LINES = (page.TEAL, page.BLUE, page.ORANGE, page.PURPLE)
# The server's parts are the strong colours; what surrounds them is grey.
_PARTS = ("#b9c0c8", page.GREY, page.RED, page.ORANGE, page.BLUE, page.TEAL, "#6e7781")


def render(
    points: Sequence[SweepPoint],
    percentile: float,
    *,
    endpoint: str,
    model: str,
    started_at: datetime,
) -> str:
    """The page: percentiles over throughput, the parts of the mean latency, and the numbers."""
    percentiles = sorted({*_PERCENTILES, percentile})
    told = [point for point in points if point.statistics]
    return page.template("sweep_plot.html").render(
        plotly=page.script(),
        endpoint=endpoint,
        model=model,
        started_at=formats.stamp(started_at),
        headline=_headline(points, percentile),
        percentiles=percentiles,
        rows=[_row(point, percentiles) for point in points],
        curve=_curve(points, percentiles),
        parts=_parts(told) if told else "",
        doubts=[(_load(p), doubt) for p in points for doubt in p.doubts],
    )


def _headline(points: Sequence[SweepPoint], percentile: float) -> str:
    trusted = [point for point in points if not point.doubts] or points
    best = max(trusted, key=lambda point: point.measurement.throughput)
    measurement = best.measurement
    return (
        f"{formats.rate(measurement.throughput)} inferences/s at most, at {_load(best)}: "
        f"p{percentile:g} {formats.latency(measurement.percentile(percentile))}"
    )


def _load(point: SweepPoint) -> str:
    return str(point.measurement.profile)


def _row(point: SweepPoint, percentiles: Sequence[float]) -> list[str]:
    measurement = point.measurement
    latencies_s = [measurement.mean_s, *map(measurement.percentile, percentiles)]
    failed = f"{measurement.failed + measurement.unanswered} of {measurement.requests}"
    return [
        _load(point),
        formats.rate(measurement.throughput),
        *map(formats.latency, latencies_s),
        failed,
    ]


def _curve(points: Sequence[SweepPoint], percentiles: Sequence[float]) -> str:
    """One line for each percentile, through the points in the order of their load."""
    traces = [_line(points, q, colour) for q, colour in zip(percentiles, _LINES, strict=False)]
    drawn_ms = [y for trace in traces for y in trace.y if y is not None]
    return page.chart(
        "curve",
        go.Figure(traces),
        xaxis=page.THROUGHPUT_AXIS,
        yaxis=page.logarithmic("latency (ms)", drawn_ms),
    )


def _line(points: Sequence[SweepPoint], q: float, colour: str) -> go.Scatter:
    latencies_s = [point.measurement.percentile(q) for point in points]
    told = [f"p{q:g} {formats.latency(each)}" for each in latencies_s]
    return go.Scatter(
        x=[point.measurement.throughput for point in points],
        y=[1e3 * each if math.isfinite(each) else None for each in latencies_s],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 9, "symbol": [page.DOUBTFUL if p.doubts else page.SURE for p in points]},
        name=f"p{q:g}",
        hovertext=list(map(_hover, points, told)),
        hoverinfo="text",
    )


def _hover(point: SweepPoint, latency: str) -> str:
    throughput = f"{formats.rate(point.measurement.throughput)} inferences/s"
    return page.hover([_load(point), throughput, latency, *point.doubts])


def _parts(points: Sequence[SweepPoint]) -> str:
    """One bar for each load point: what the mean latency is made of."""
    parts = [latency_parts_s(point) for point in points]
    figure = go.Figure(
        [
            _bar(
                name, colour, {_load(p): each[name] for p, each in zip(points, parts, strict=True)}
            )
            for name, colour in zip(parts[0], _PARTS, strict=True)
        ]
    )
    figure.update_xaxes(automargin=True)
    yaxis = {"title": {"text": "mean latency (ms)"}}
    return page.chart("parts", figure, barmode="stack", yaxis=yaxis)


def _bar(name: str, colour: str, durations_s: Mapping[str, float]) -> go.Bar:
    """One part of the latency, by load."""
    return go.Bar(
        x=list(durations_s),
        y=[1e3 * each for each in durations_s.values()],
        name=name,
        marker={"color": colour},
        hovertext=[
            page.hover([f"{load}: {name} {formats.latency(each)}"])
            for load, each in durations_s.items()
        ],
        hoverinfo="text",
    )
