"""Latency against throughput of the load points of `tuner measure`, as one HTML file to keep.

It looks like the report of a study, and like it loads nothing from anywhere.
"""

import html
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files

import jinja2
import plotly.graph_objects as go
import plotly.io

from tuner.report import charts, formats
from tuner.sweep.point import SweepPoint, latency_parts_s

_PERCENTILES = (50.0, 95.0, 99.0)
_LINES = ("#2a9d8f", "#2f81d7", "#d9822b", "#8e6bbf")
# The server's parts are the strong colours; what surrounds them is grey.
_PARTS = ("#b9c0c8", "#8b949e", "#d1495b", "#d9822b", "#2f81d7", "#2a9d8f", "#6e7781")
_HEIGHT = "440px"
_TOOLS = {"displaylogo": False, "responsive": True, "displayModeBar": False}
_LAYOUT = {
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "margin": {"l": 56, "r": 12, "t": 8, "b": 52},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    "hoverlabel": {
        "bgcolor": "#22272e",
        "font": {"color": "#f0f3f6", "size": 12},
        "align": "left",
    },
}


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
    return _template().render(
        style=_style(),
        plotly=charts.script(),
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
    ticks = charts.log_ticks([y for trace in traces for y in trace.y if y is not None])
    figure = go.Figure(traces)
    figure.update_layout(
        **_LAYOUT,
        hovermode="closest",
        xaxis={"title": {"text": "throughput (inferences/s)"}, "rangemode": "tozero"},
        yaxis={
            "title": {"text": "latency (ms), logarithmic"},
            "type": "log",
            "tickvals": ticks,
            "ticktext": [f"{tick:g}" for tick in ticks],
        },
    )
    return _fragment("curve", figure)


def _line(points: Sequence[SweepPoint], q: float, colour: str) -> go.Scatter:
    latencies_s = [point.measurement.percentile(q) for point in points]
    told = [f"p{q:g} {formats.latency(each)}" for each in latencies_s]
    return go.Scatter(
        x=[point.measurement.throughput for point in points],
        y=[1e3 * each if math.isfinite(each) else None for each in latencies_s],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 9, "symbol": ["x-thin-open" if p.doubts else "circle" for p in points]},
        name=f"p{q:g}",
        hovertext=list(map(_hover, points, told)),
        hoverinfo="text",
    )


def _hover(point: SweepPoint, latency: str) -> str:
    throughput = f"{formats.rate(point.measurement.throughput)} inferences/s"
    lines = [_load(point), throughput, latency, *point.doubts]
    return "<br>".join(html.escape(line) for line in lines)


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
    figure.update_layout(
        **_LAYOUT, barmode="stack", yaxis={"title": {"text": "mean latency (ms)"}}
    )
    return _fragment("parts", figure)


def _bar(name: str, colour: str, durations_s: Mapping[str, float]) -> go.Bar:
    """One part of the latency, by load."""
    return go.Bar(
        x=list(durations_s),
        y=[1e3 * each for each in durations_s.values()],
        name=name,
        marker={"color": colour},
        hovertext=[
            html.escape(f"{load}: {name} {formats.latency(each)}")
            for load, each in durations_s.items()
        ],
        hoverinfo="text",
    )


def _fragment(name: str, figure: go.Figure) -> str:
    figure.update_xaxes(zeroline=False, automargin=True)
    return str(
        plotly.io.to_html(
            figure,
            config=_TOOLS,
            include_plotlyjs=False,
            full_html=False,
            default_height=_HEIGHT,
            div_id=name,
        )
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_source("measure_plot.html"))


def _style() -> str:
    """The style sheet of a study's report."""
    _, _, after = _source("template.html").partition("<style>")
    return after.partition("</style>")[0]


def _source(name: str) -> str:
    return files("tuner.report").joinpath(name).read_text(encoding="utf-8")
