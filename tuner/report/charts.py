"""The charts of the HTML report, as fragments that need plotly.js on the same page."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from tuner.analysis.bottleneck import latency_split
from tuner.analysis.budget_curve import budget_curve
from tuner.analysis.interpolation import EstimateKind
from tuner.analysis.load_curves import LoadCurve, loaded_points
from tuner.analysis.pareto import trade_off
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Standing, Standings
from tuner.records import PointRecord, StudyRecord
from tuner.report import answer_sheets, findings, formats, page, rates, token_charts, token_text
from tuner.space.space import Configuration

_BEST = page.BLUE
_DEFAULTS = page.ORANGE
_OTHERS = (page.PURPLE, page.GREEN)
# Configurations whose load curves are drawn, beside the server's defaults.
_SHOWN_CURVES = 3
# The parts of a latency, in their order: what is outside of the model is grey.
_PARTS = (page.ORANGE, page.GREEN, page.BLUE, page.TEAL, page.GREY)
# Points of a line over the latency limits.
_LIMITS = 60


@dataclass(frozen=True)
class Chart:
    """A fragment of HTML, what it shows in words, and how it is to be read."""

    label: str
    fragment: str
    caption: str = ""


def charts(
    study: StudyRecord,
    standings: Standings,
    points: pd.DataFrame,
    curves: Sequence[Sequence[LoadCurve]],
) -> dict[str, tuple[Chart, ...]]:
    """All charts, by the name of the section that they stand in; none without a load point."""
    if points.empty:
        return {}
    latency = token_text.latency_name(study.budget)
    front = Chart(
        f"{latency} against throughput of the load points",
        pareto_chart(study, standings, points),
        "A diamond is a capacity with its 95 % interval. A thin cross was stopped early, because "
        "the server fell behind for good. Point at anything to see what it is.",
    )
    limits = Chart(
        f"Capacity against the limit of the {latency}", budget_chart(study, points, curves)
    )
    of_each = Chart(
        f"{latency} against throughput of each configuration", load_curves(study, standings)
    )
    parts = Chart(
        "The parts of the mean latency of each configuration", split_chart(study, standings)
    )
    speeds = Chart(
        "Output tokens per second of all users against those that one of them sees",
        token_charts.speed_chart(study, standings),
        "Up and to the right is better: more tokens for all, and faster ones for each.",
    )
    firsts = Chart(
        "The time to the first token against output tokens per second",
        token_charts.first_token_chart(study, standings),
    )
    found = {
        "front": [front],
        "tokens": [speeds, firsts],
        "limits": [limits],
        "curves": [of_each, parts],
    }
    return {name: tuple(each for each in own if each.fragment) for name, own in found.items()}


def pareto_chart(study: StudyRecord, standings: Standings, points: pd.DataFrame) -> str:
    """Every load point, the Pareto front through them and the latency budget."""
    winner, baseline = standings.winner, study.baseline
    own = {}
    if baseline is not None:
        own[formats.DEFAULTS] = (baseline.configuration, _DEFAULTS)
    if winner is not None and not findings.keeps_defaults(standings):
        own[findings.BEST] = (winner.configuration, _BEST)
    named = [str(configuration) for configuration, _ in own.values()]
    others = points[~points["configuration"].isin(named)]
    traces = [
        _cloud(others, "other configurations", page.GREY, study, size=6),
        _front(study),
        *(
            _cloud(_of(points, configuration), name, colour, study, size=9)
            for name, (configuration, colour) in own.items()
        ),
        *_capacities(study, standings),
    ]
    latencies_ms = points["latency_ms"][points["latency_ms"].map(math.isfinite)].tolist()
    return _fragment("pareto", traces, study, latencies_ms)


def _front(study: StudyRecord) -> go.Scatter:
    """The front with the 95 % intervals of its latencies; an unknown end is not drawn."""
    edge = trade_off(study)
    below = [point["latency_ms"] - point["latency_low_ms"] for point in edge]
    above = [point["latency_high_ms"] - point["latency_ms"] for point in edge]
    return go.Scatter(
        x=[point["throughput"] for point in edge],
        y=[point["latency_ms"] for point in edge],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [each if math.isfinite(each) else 0.0 for each in above],
            "arrayminus": [each if math.isfinite(each) else 0.0 for each in below],
            "thickness": 1.5,
            "width": 4,
        },
        mode="lines",
        line={"color": page.TEAL, "width": 2, "shape": "vh"},
        name="Pareto front",
        hoverinfo="skip",
    )


def _capacities(study: StudyRecord, standings: Standings) -> list[go.Scatter]:
    """The capacity of each configuration that is compared, with its interval, at the limit."""
    colours = {formats.DEFAULTS: _DEFAULTS, findings.BEST: _BEST}
    return [
        go.Scatter(
            x=[standing.throughput],
            y=[1e3 * study.budget.limit_s],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [standing.high - standing.throughput],
                "arrayminus": [standing.throughput - standing.low],
                "thickness": 3,
                "width": 8,
            },
            mode="markers",
            marker={"color": colours.get(name, _OTHERS[0]), "size": 12, "symbol": "diamond"},
            name=name,
            showlegend=False,
            hovertext=[_capacity_text(name, standing, study)],
            hoverinfo="text",
        )
        for name, standing in findings.compared(study, standings).items()
        if standing.throughput > 0 and math.isfinite(standing.log_error)
    ]


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


def budget_chart(
    study: StudyRecord, points: pd.DataFrame, curves: Sequence[Sequence[LoadCurve]]
) -> str:
    """What the best configuration of each latency limit carries, and the server's defaults.

    Empty where no load point has a latency.
    """
    known_ms = answer_sheets.limits_ms(points)
    if not known_ms.size:
        return ""
    limits_ms = np.geomspace(known_ms.min(), known_ms.max(), _LIMITS).tolist()
    curve = budget_curve(study, curves, limits_ms)
    curve["changes"] = curve["trial"].map(answer_sheets.changes(study))
    own, unit = curve[["limit_ms", "baseline", "baseline_kind"]], RateUnit.of(study)
    defaults = own.set_axis(["limit_ms", "throughput", "kind"], axis="columns")
    traces = [
        *_limit_lines(curve, "best configuration of each limit", _BEST, unit),
        *_limit_lines(defaults, formats.DEFAULTS, _DEFAULTS, unit),
    ]
    figure = go.Figure(traces)
    page.draw_limit(figure, f"budget: {study.budget}", x=1e3 * study.budget.limit_s)
    title = f"{token_text.latency_name(study.budget)} limit (ms)"
    return page.chart(
        "limits",
        figure,
        xaxis=page.logarithmic(title, [*limits_ms, 1e3 * study.budget.limit_s]),
        yaxis={
            "title": {"text": f"capacity ({RateUnit.of(study)})"},
            "rangemode": "tozero",
        },
    )


def split_chart(study: StudyRecord, standings: Standings) -> str:
    """What the mean latency of each configuration is made of; empty where no server told."""
    compared = findings.compared(study, standings)
    told = {
        name.replace(" ", "<br>", 1): split.parts_s
        for name, standing in reversed(compared.items())
        if (split := latency_split(standing.trial))
    }
    if not told:
        return ""
    bars = [
        go.Bar(
            x=[1e3 * parts_s[part] for parts_s in told.values()],
            y=list(told),
            orientation="h",
            name=part,
            marker={"color": colour},
            hovertext=[
                page.hover([f"{part}: {formats.latency(parts_s[part])}"])
                for parts_s in told.values()
            ],
            hoverinfo="text",
        )
        for part, colour in zip(next(iter(told.values())), _PARTS, strict=True)
    ]
    return page.chart(
        "splits",
        go.Figure(bars),
        barmode="stack",
        height=120 + 70 * len(told),
        xaxis={"title": {"text": "mean latency (ms)"}},
        yaxis={"automargin": True},
    )


def _cloud(
    points: pd.DataFrame, name: str, colour: str, study: StudyRecord, *, size: int
) -> go.Scatter:
    changes = answer_sheets.changes(study)
    rows = points.assign(changes=points["trial"].map(changes)).to_dict("records")
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


def _limit_lines(curve: pd.DataFrame, name: str, colour: str, unit: str) -> list[go.Scatter]:
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
                hovertext=[_limit_text(name, row, unit) for row in shown.to_dict("records")],
                hoverinfo="text",
            )
        )
    return lines


def _symbol(*, stopped: object) -> str:
    return page.DOUBTFUL if stopped else page.SURE


def _row_text(row: Mapping[Hashable, Any], study: StudyRecord) -> str:
    """What a load point is: of which trial, how loaded, how slow, and how sure that is."""
    latency = f"p{study.budget.percentile:g} {formats.latency(row['latency_ms'] / 1e3)}"
    interval = answer_sheets.interval_ms(row)
    lines = [
        f"trial {row['trial']} ({row['purpose']})",
        f"{formats.rate(row['throughput'])} {RateUnit.of(study)}",
        latency if interval == formats.NOTHING else f"{latency} (95 %: {interval})",
        f"p50 {formats.latency(row['p50_ms'] / 1e3)}",
    ]
    if row["errors"]:
        lines.append(f"{formats.counted(row['errors'], 'request')} failed")
    if row["stopped_early"]:
        lines.append("stopped early: over the limit")
    return page.hover([*lines, *str(row["changes"]).split(" ")])


def _capacity_text(name: str, standing: Standing, study: StudyRecord) -> str:
    low, high = formats.rate(standing.low), formats.rate(standing.high)
    return page.hover(
        [
            name,
            f"capacity within {study.budget}:",
            rates.of_study(standing.throughput, study),
            f"95 %: {low} to {high}",
            findings.grounds(standing),
        ]
    )


def _point_text(name: str, point: PointRecord, study: StudyRecord) -> str:
    lines = [
        name,
        f"{formats.rate(point.throughput)} {RateUnit.of(study)}",
        f"p{study.budget.percentile:g} {formats.latency(point.latency_s)}",
    ]
    if point.stopped_early:
        lines.append("stopped early: over the limit")
    return page.hover(lines)


def _limit_text(name: str, row: Mapping[Hashable, Any], unit: str) -> str:
    carries = f"{formats.rate(row['throughput'])} {unit} ({row['kind']})"
    lines = [name, f"{carries} within {formats.latency(row['limit_ms'] / 1e3)}"]
    if "trial" in row:
        lines += [f"trial {row['trial']}", *str(row["changes"]).split(" ")]
    return page.hover(lines)


def _of(points: pd.DataFrame, configuration: Configuration) -> pd.DataFrame:
    return points[points["configuration"] == str(configuration)]


def _fragment(
    name: str, traces: list[go.Scatter], study: StudyRecord, latencies_ms: Sequence[float]
) -> str:
    """A chart of latency over throughput."""
    figure = go.Figure(traces)
    page.draw_limit(figure, f"budget: {study.budget}", y=1e3 * study.budget.limit_s)
    title = f"{token_text.latency_name(study.budget)} (ms)"
    values = [*latencies_ms, 1e3 * study.budget.limit_s]
    xaxis = page.throughput_axis(RateUnit.of(study))
    return page.chart(name, figure, xaxis=xaxis, yaxis=page.logarithmic(title, values))
