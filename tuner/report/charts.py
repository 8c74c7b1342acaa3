"""The charts of the HTML report, as fragments that need plotly.js on the same page."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from tuner.analysis.budget_curve import budget_curve
from tuner.analysis.interpolation import EstimateKind
from tuner.analysis.load_curves import loaded_points
from tuner.analysis.pareto import trade_off
from tuner.analysis.standings import Standing, Standings
from tuner.records import PointRecord, StudyRecord
from tuner.report import findings, formats, page
from tuner.space.space import Configuration

_BEST = page.BLUE
_DEFAULTS = page.ORANGE
_OTHERS = (page.PURPLE, page.GREEN)
# Configurations whose load curves are drawn, beside the server's defaults.
_SHOWN_CURVES = 3
# Points of a line over the latency limits.
_LIMITS = 60


def pareto_chart(study: StudyRecord, standings: Standings, points: pd.DataFrame) -> str:
    """Every load point, the Pareto front through them and the latency budget."""
    edge = trade_off(study)
    winner, baseline = standings.winner, study.baseline
    traces = [
        _cloud(points, "all load points", page.GREY, study, size=6),
        go.Scatter(
            x=[point["throughput"] for point in edge],
            y=[point["latency_ms"] for point in edge],
            mode="lines",
            line={"color": page.TEAL, "width": 2, "shape": "vh"},
            name="Pareto front",
            hoverinfo="skip",
        ),
    ]
    if baseline is not None:
        own = _of(points, baseline.configuration)
        traces.append(_cloud(own, formats.DEFAULTS, _DEFAULTS, study, size=9))
    if winner is not None and not findings.keeps_defaults(standings):
        own = _of(points, winner.configuration)
        traces.append(_cloud(own, "best configuration", _BEST, study, size=9))
    latencies_ms = points["latency_ms"][points["latency_ms"].map(math.isfinite)].tolist()
    return _fragment("pareto", traces, study, latencies_ms)


def about_front(study: StudyRecord, points: pd.DataFrame) -> str:
    """The title of the chart of the Pareto front, in a sentence."""
    within = points[points["within"] & ~points["stopped_early"]]
    if within.empty:
        return f"No load point meets {study.budget}"
    most = formats.rate(float(within["throughput"].max()))
    return f"The highest throughput measured within {study.budget} is {most} inferences/s"


def load_curves(study: StudyRecord, standings: Standings) -> str:
    """Latency against throughput of the best configurations and of the server's defaults."""
    traces, latencies_ms = [], []
    for name, standing, colour in _curves(study, standings):
        points = _curve(study, standing)
        x = [point.throughput for point in points]
        y = [1e3 * point.latency_s for point in points]
        latencies_ms += y
        traces.append(
            go.Scatter(
                x=x,
                y=y,
                mode="lines+markers",
                line={"color": colour, "width": 2},
                marker={"size": 9, "symbol": [_symbol(stopped=p.stopped_early) for p in points]},
                name=name,
                hovertext=[_point_text(name, point, study) for point in points],
                hoverinfo="text",
            )
        )
    return _fragment("curves", traces, study, latencies_ms)


def budget_chart(study: StudyRecord, points: pd.DataFrame) -> str:
    """What the best configuration of each latency limit carries, and the server's defaults.

    Empty where no load point has a latency.
    """
    latencies_ms = points["latency_ms"][~points["stopped_early"]].to_numpy()
    known_ms = latencies_ms[np.isfinite(latencies_ms)]
    if not known_ms.size:
        return ""
    limits_ms = np.geomspace(known_ms.min(), known_ms.max(), _LIMITS).tolist()
    curve = budget_curve(study, limits_ms)
    own = curve[["limit_ms", "baseline", "baseline_kind"]]
    defaults = own.set_axis(["limit_ms", "throughput", "kind"], axis="columns")
    traces = [
        *_limit_lines(curve, "best configuration of each limit", _BEST),
        *_limit_lines(defaults, formats.DEFAULTS, _DEFAULTS),
    ]
    figure = go.Figure(traces)
    _draw_limit(figure, study, axis="x")
    title = f"p{study.budget.percentile:g} latency limit (ms)"
    return page.chart(
        "limits",
        figure,
        xaxis=page.logarithmic(title, [*limits_ms, 1e3 * study.budget.limit_s]),
        yaxis={"title": {"text": "capacity (inferences/s)"}, "rangemode": "tozero"},
    )


def _cloud(
    points: pd.DataFrame, name: str, colour: str, study: StudyRecord, *, size: int
) -> go.Scatter:
    rows = points.to_dict("records")
    return go.Scatter(
        x=points["throughput"].tolist(),
        y=points["latency_ms"].tolist(),
        mode="markers",
        marker={
            "color": colour,
            "size": size,
            "symbol": [_symbol(stopped=row["stopped_early"]) for row in rows],
        },
        name=name,
        hovertext=[_row_text(row, study) for row in rows],
        hoverinfo="text",
    )


def _curves(study: StudyRecord, standings: Standings) -> list[tuple[str, Standing, str]]:
    """What to draw, by name and colour: the winner, the next best, the server's defaults."""
    others = iter(_OTHERS)
    shown = []
    winner, own = standings.winner, study.baseline.configuration if study.baseline else None
    first = [winner] if winner else []
    for standing in [*first, *(s for s in standings.ranked if s is not winner)][:_SHOWN_CURVES]:
        if standing.configuration == own:
            continue
        best = standing is winner
        name = "best configuration" if best else findings.name_of(study, standing)
        shown.append((name, standing, _BEST if best else next(others)))
    if standings.baseline is not None:
        shown.append((formats.DEFAULTS, standings.baseline, _DEFAULTS))
    return shown


def _curve(study: StudyRecord, standing: Standing) -> list[PointRecord]:
    """The points by load; one request at a time is no point of a load curve."""
    loaded = sorted(loaded_points(study, standing.trial), key=lambda p: p.load)
    return [p for p in loaded if math.isfinite(p.latency_s)]


def _limit_lines(curve: pd.DataFrame, name: str, colour: str) -> list[go.Scatter]:
    """Capacity over the latency limit; dotted where it is a lower bound."""
    lines = []
    for dash, kinds in (
        ("solid", (EstimateKind.MEASURED, EstimateKind.INTERPOLATED)),
        ("dot", (EstimateKind.AT_LEAST,)),
    ):
        shown = curve[curve["kind"].isin([kind.value for kind in kinds])]
        lines.append(
            go.Scatter(
                x=shown["limit_ms"].tolist(),
                y=shown["throughput"].tolist(),
                mode="lines",
                line={"color": colour, "width": 2, "dash": dash},
                name=name,
                showlegend=dash == "solid",
                hovertext=[_limit_text(name, row) for row in shown.to_dict("records")],
                hoverinfo="text",
            )
        )
    return lines


def _symbol(*, stopped: object) -> str:
    return page.DOUBTFUL if stopped else page.SURE


def _row_text(row: Mapping[Hashable, Any], study: StudyRecord) -> str:
    lines = [
        f"trial {row['trial']} ({row['purpose']})",
        f"{row['throughput']:,.1f} inferences/s",
        f"p{study.budget.percentile:g} {row['latency_ms']:,.1f} ms",
        *str(row["configuration"]).split(" "),
    ]
    if row["stopped_early"]:
        lines.insert(3, "stopped early: over the limit")
    return page.hover(lines)


def _point_text(name: str, point: PointRecord, study: StudyRecord) -> str:
    lines = [
        name,
        f"{formats.rate(point.throughput)} inferences/s",
        f"p{study.budget.percentile:g} {formats.latency(point.latency_s)}",
    ]
    if point.stopped_early:
        lines.append("stopped early: over the limit")
    return page.hover(lines)


def _limit_text(name: str, row: Mapping[Hashable, Any]) -> str:
    carries = f"{formats.rate(row['throughput'])} inferences/s ({row['kind']})"
    lines = [name, f"{carries} within {formats.latency(row['limit_ms'] / 1e3)}"]
    if "trial" in row:
        lines += [f"trial {row['trial']}", *str(row["configuration"]).split(" ")]
    return page.hover(lines)


def _of(points: pd.DataFrame, configuration: Configuration) -> pd.DataFrame:
    return points[points["configuration"] == str(configuration)]


def _fragment(
    name: str, traces: list[go.Scatter], study: StudyRecord, latencies_ms: Sequence[float]
) -> str:
    """A chart of latency over throughput."""
    figure = go.Figure(traces)
    _draw_limit(figure, study, axis="y")
    title = f"p{study.budget.percentile:g} latency (ms)"
    values = [*latencies_ms, 1e3 * study.budget.limit_s]
    yaxis = page.logarithmic(title, values)
    return page.chart(name, figure, xaxis=page.THROUGHPUT_AXIS, yaxis=yaxis)


def _draw_limit(figure: go.Figure, study: StudyRecord, *, axis: str) -> None:
    """A line across the chart where the latency axis (`x` or `y`) has the study's limit."""
    limit_ms, other = 1e3 * study.budget.limit_s, "y" if axis == "x" else "x"
    across = {f"{axis}ref": axis, f"{other}ref": "paper"}
    ends = {f"{axis}0": limit_ms, f"{axis}1": limit_ms, f"{other}0": 0, f"{other}1": 1}
    dashed = {"color": page.RED, "dash": "dash", "width": 1.5}
    figure.add_shape(**across, **ends, type="line", line=dashed)
    # Where a shape wants the value on a logarithmic axis, an annotation wants the exponent.
    figure.add_annotation(
        **across,
        **{axis: math.log10(limit_ms), other: 0},
        xanchor="left",
        yanchor="bottom",
        showarrow=False,
        text=f"budget: {study.budget}".replace("<=", "≤"),
    )
