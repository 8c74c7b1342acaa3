"""Latency against throughput of the load points of `tuner measure`, as one HTML file to keep.

It looks like the report of a study, and like it loads nothing from anywhere.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import plotly.graph_objects as go

from tuner.analysis.rate_unit import RateUnit
from tuner.load.measurement import Measurement
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
    """The page: percentiles over throughput, the parts of the mean latency, and the numbers.

    Where answers are made of tokens, those of the first token and of the time between tokens, too.
    """
    percentiles = sorted({*_PERCENTILES, percentile})
    told = [point for point in points if point.statistics]
    generated = [point for point in points if point.generated]
    return page.template("sweep_plot.html").render(
        plotly=page.script(),
        endpoint=endpoint,
        model=model,
        started_at=formats.stamp(started_at),
        headline=_headline(points, percentile),
        percentiles=percentiles,
        unit=_unit(points).capitalize(),
        rows=[_row(point, percentiles) for point in points],
        token_rows=[_token_row(point, percentiles) for point in generated],
        curve=_curve(points, percentiles),
        token_curves=_token_curves(generated, percentiles) if generated else {},
        parts=_parts(told) if told else "",
        doubts=[(_load(p), doubt) for p in points for doubt in p.doubts],
    )


def _headline(points: Sequence[SweepPoint], percentile: float) -> str:
    trusted = [point for point in points if not point.doubts] or points
    best = max(trusted, key=lambda point: point.measurement.throughput)
    measurement = best.measurement
    latency = f"p{percentile:g} {formats.latency(measurement.percentile(percentile))}"
    if best.generated:
        times = {"TTFT": measurement.ttft, "ITL": measurement.itl}
        named = [f"{name} {formats.latency(of(percentile))}" for name, of in times.items()]
        latency = f"p{percentile:g} of {formats.listed(named)}"
    return f"{_rate(best)} at most, at {_load(best)}: {latency}"


def _unit(points: Sequence[SweepPoint]) -> RateUnit:
    """That of their throughputs."""
    return RateUnit.of_answers(generated=any(point.generated for point in points))


def _rate(point: SweepPoint) -> str:
    """What was answered, and of how many output tokens that was."""
    tokens, rate = point.measurement.tokens, formats.rate(point.measurement.throughput)
    if tokens is None or not point.generated:
        return f"{rate} {_unit([point])}"
    return f"{rate} {_unit([point])} with {formats.rate(tokens.throughput)} output tokens/s"


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


def _token_row(point: SweepPoint, percentiles: Sequence[float]) -> list[str]:
    measurement, tokens = point.measurement, point.measurement.tokens
    times_s = [of(q) for of in (measurement.ttft, measurement.itl) for q in percentiles]
    per_s = tokens.throughput if tokens else math.nan
    return [_load(point), formats.rate(per_s), *map(formats.latency, times_s)]


def _curve(points: Sequence[SweepPoint], percentiles: Sequence[float]) -> str:
    """One line for each percentile, through the points in the order of their load."""
    throughputs = [point.measurement.throughput for point in points]
    traces = [
        _line(points, throughputs, q, [each.measurement.percentile(q) for each in points], colour)
        for q, colour in zip(percentiles, _LINES, strict=False)
    ]
    return _chart("curve", traces, page.throughput_axis(_unit(points)), "latency (ms)")


def _token_curves(points: Sequence[SweepPoint], percentiles: Sequence[float]) -> dict[str, str]:
    """The time to the first token, and that between tokens, against output tokens per second."""
    axis = {"title": {"text": "output tokens/s"}, "rangemode": "tozero"}
    per_s = [each.measurement.tokens.throughput for each in points if each.measurement.tokens]
    times: Mapping[str, Callable[[Measurement, float], float]] = {
        "TTFT": Measurement.ttft,
        "ITL": Measurement.itl,
    }
    return {
        name: _chart(
            name,
            [
                _line(points, per_s, q, [of(each.measurement, q) for each in points], colour)
                for q, colour in zip(percentiles, _LINES, strict=False)
            ],
            axis,
            f"{name} (ms)",
        )
        for name, of in times.items()
    }


def _chart(
    name: str, traces: Sequence[go.Scatter], xaxis: Mapping[str, object], title: str
) -> str:
    drawn_ms = [y for trace in traces for y in trace.y if y is not None]
    yaxis = page.logarithmic(title, drawn_ms)
    return page.chart(name, go.Figure(traces), xaxis=xaxis, yaxis=yaxis)


def _line(
    points: Sequence[SweepPoint],
    throughputs: Sequence[float],
    q: float,
    latencies_s: Sequence[float],
    colour: str,
) -> go.Scatter:
    told = [f"p{q:g} {formats.latency(each)}" for each in latencies_s]
    return go.Scatter(
        x=throughputs,
        y=[1e3 * each if math.isfinite(each) else None for each in latencies_s],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 9, "symbol": [page.DOUBTFUL if p.doubts else page.SURE for p in points]},
        name=f"p{q:g}",
        hovertext=list(map(_hover, points, told)),
        hoverinfo="text",
    )


def _hover(point: SweepPoint, latency: str) -> str:
    return page.hover([_load(point), _rate(point), latency, *point.doubts])


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
