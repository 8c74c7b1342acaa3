"""The charts of the HTML report, as fragments that need plotly.js on the same page.

Colours of text and grid come from the page's style sheet, so that both follow light and dark;
those of the data are readable on both.
"""

import html
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from tuner.analysis.answers import budget_curve
from tuner.analysis.interpolation import Kind
from tuner.analysis.pareto import load_points, loaded_points, trade_off
from tuner.analysis.standings import Standing, Standings
from tuner.records import PointRecord, StudyRecord
from tuner.report import findings, formats
from tuner.space.space import Configuration

_BEST, _DEFAULTS, _FRONT, _LIMIT, _POINTS = "#2f81d7", "#d9822b", "#2a9d8f", "#d1495b", "#8b949e"
_OTHERS = ("#8e6bbf", "#5c9e4a")
_SHOWN_CURVES = 3
_LIMITS = 60
_HEIGHT = "440px"
_TOOLS = {"displaylogo": False, "responsive": True, "displayModeBar": False}


def script() -> str:
    """plotly.js itself, to stand once on the page."""
    return str(get_plotlyjs())


def pareto_chart(study: StudyRecord, standings: Standings) -> str:
    """Every load point, the Pareto front through them and the latency budget."""
    points, edge = load_points(study), trade_off(study)
    winner, baseline = standings.winner, study.baseline
    traces = [
        _cloud(points, "all load points", _POINTS, study, size=6),
        go.Scatter(
            x=edge["throughput"].tolist(),
            y=edge["latency_ms"].tolist(),
            mode="lines",
            line={"color": _FRONT, "width": 2, "shape": "vh"},
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
                marker={"size": 9, "symbol": [_symbol(point) for point in points]},
                name=name,
                hovertext=[_point_text(name, point, study) for point in points],
                hoverinfo="text",
            )
        )
    return _fragment("curves", traces, study, latencies_ms)


def budget_chart(study: StudyRecord) -> str:
    """What the best configuration of each latency limit carries, and the server's defaults.

    Empty where no load point has a latency.
    """
    points = load_points(study)
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
    title = f"p{study.budget.percentile:g} latency limit (ms), logarithmic"
    figure = _figure(
        traces,
        xaxis=_logarithmic(title, [*limits_ms, 1e3 * study.budget.limit_s]),
        yaxis={"title": {"text": "capacity (inferences/s)"}, "rangemode": "tozero"},
    )
    _draw_limit(figure, study, axis="x")
    return _html("limits", figure)


def log_ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times the powers of ten, from just below `values` to just above."""
    if not values:
        return []
    exponents = range(math.floor(math.log10(min(values))), math.floor(math.log10(max(values))) + 2)
    ticks = [float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 2, 5)]
    return [tick for tick in ticks if 0.4 * min(values) <= tick <= 2.5 * max(values)]


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
            "symbol": ["x-thin-open" if row["stopped_early"] else "circle" for row in rows],
        },
        name=name,
        hovertext=[_row_text(row, study) for row in rows],
        hoverinfo="text",
    )


def _curves(study: StudyRecord, standings: Standings) -> list[tuple[str, Standing, str]]:
    """What to draw, by name and colour: the winner, the next best, the server's defaults."""
    others = iter(_OTHERS)
    shown = []
    winner = standings.winner
    first = [winner] if winner else []
    for standing in [*first, *(s for s in standings.ranked if s is not winner)][:_SHOWN_CURVES]:
        if _is_baseline(standing, study):
            continue
        best = standing is winner
        name = "best configuration" if best else findings.name_of(study, standing)
        shown.append((name, standing, _BEST if best else next(others)))
    if standings.baseline is not None:
        shown.append((formats.DEFAULTS, standings.baseline, _DEFAULTS))
    return shown


def _is_baseline(standing: Standing, study: StudyRecord) -> bool:
    baseline = study.baseline
    return baseline is not None and standing.configuration == baseline.configuration


def _curve(study: StudyRecord, standing: Standing) -> list[PointRecord]:
    """The points by load; one request at a time is no point of a load curve."""
    loaded = sorted(loaded_points(study, standing.trial), key=lambda p: p.load)
    return [p for p in loaded if math.isfinite(p.latency_s)]


def _limit_lines(curve: pd.DataFrame, name: str, colour: str) -> list[go.Scatter]:
    """Capacity over the latency limit; dotted where it is a lower bound."""
    lines = []
    for dash, kinds in (("solid", (Kind.MEASURED, Kind.INTERPOLATED)), ("dot", (Kind.AT_LEAST,))):
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


def _symbol(point: PointRecord) -> str:
    return "x-thin-open" if point.stopped_early else "circle"


def _row_text(row: Mapping[Hashable, Any], study: StudyRecord) -> str:
    lines = [
        f"trial {row['trial']} ({row['purpose']})",
        f"{row['throughput']:,.1f} inferences/s",
        f"p{study.budget.percentile:g} {row['latency_ms']:,.1f} ms",
        *str(row["configuration"]).split(" "),
    ]
    if row["stopped_early"]:
        lines.insert(3, "stopped early: overloaded")
    return "<br>".join(html.escape(line) for line in lines)


def _point_text(name: str, point: PointRecord, study: StudyRecord) -> str:
    lines = [
        name,
        f"{formats.rate(point.throughput)} inferences/s",
        f"p{study.budget.percentile:g} {formats.latency(point.latency_s)}",
    ]
    if point.stopped_early:
        lines.append("stopped early: overloaded")
    return "<br>".join(html.escape(line) for line in lines)


def _limit_text(name: str, row: Mapping[Hashable, Any]) -> str:
    carries = f"{formats.rate(row['throughput'])} inferences/s ({row['kind']})"
    lines = [name, f"{carries} within {formats.latency(row['limit_ms'] / 1e3)}"]
    if "trial" in row:
        lines += [f"trial {row['trial']}", *str(row["configuration"]).split(" ")]
    return "<br>".join(html.escape(line) for line in lines)


def _of(points: pd.DataFrame, configuration: Configuration) -> pd.DataFrame:
    return points[points["configuration"] == str(configuration)]


def _fragment(
    name: str, traces: list[go.Scatter], study: StudyRecord, latencies_ms: Sequence[float]
) -> str:
    """A chart of latency over throughput."""
    limit_ms = 1e3 * study.budget.limit_s
    title = f"p{study.budget.percentile:g} latency (ms), logarithmic"
    figure = _figure(
        traces,
        xaxis={"title": {"text": "throughput (inferences/s)"}, "rangemode": "tozero"},
        yaxis=_logarithmic(title, [*latencies_ms, limit_ms]),
    )
    _draw_limit(figure, study, axis="y")
    return _html(name, figure)


def _logarithmic(title: str, values: Sequence[float]) -> dict[str, Any]:
    ticks = log_ticks(values)
    return {
        "title": {"text": title},
        "type": "log",
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def _figure(
    traces: list[go.Scatter], *, xaxis: Mapping[str, Any], yaxis: Mapping[str, Any]
) -> go.Figure:
    figure = go.Figure(traces)
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 56, "r": 12, "t": 8, "b": 52},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
        hoverlabel={
            "bgcolor": "#22272e",
            "font": {"color": "#f0f3f6", "size": 12},
            "align": "left",
        },
        xaxis=xaxis,
        yaxis=yaxis,
    )
    figure.update_xaxes(zeroline=False)
    return figure


def _html(name: str, figure: go.Figure) -> str:
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


def _draw_limit(figure: go.Figure, study: StudyRecord, *, axis: str) -> None:
    """A line across the chart where the latency axis (`x` or `y`) has the study's limit."""
    limit_ms, other = 1e3 * study.budget.limit_s, "y" if axis == "x" else "x"
    across = {f"{axis}ref": axis, f"{other}ref": "paper"}
    ends = {f"{axis}0": limit_ms, f"{axis}1": limit_ms, f"{other}0": 0, f"{other}1": 1}
    dashed = {"color": _LIMIT, "dash": "dash", "width": 1.5}
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
