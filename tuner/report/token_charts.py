"""The charts of output tokens: what they cost in the speed that users see, and in first tokens."""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from tuner.analysis.pareto import Row, load_points, token_fronts
from tuner.analysis.standings import Standings
from tuner.records import StudyRecord
from tuner.report import answer_sheets, findings, formats, page

_TOKENS_AXIS = {"title": {"text": "output tokens/s"}, "rangemode": "tozero"}
_COLOURS = {findings.BEST: page.BLUE, formats.DEFAULTS: page.ORANGE, "others": page.GREY}


def speed_chart(study: StudyRecord, standings: Standings) -> str:
    """Output tokens per second of all users against those that one of them sees.

    Empty where answers do not come token by token.
    """
    front = token_fronts(study).get("speed")
    if front is None:
        return ""
    figure = _figure(study, standings, front, "speed", "tokens_per_s", "hv")
    limit_s = study.budget.limits.itl_s
    if limit_s < math.inf:
        text = f"limit: ITL {limit_s * 1e3:g} ms"
        page.draw_limit(figure, text, x=1 / limit_s, of_logarithms=False)
    title = f"tokens/s that a user sees (p{study.budget.percentile:g})"
    return page.chart(
        "speeds",
        figure,
        xaxis={"title": {"text": title}, "rangemode": "tozero"},
        yaxis=_TOKENS_AXIS,
    )


def first_token_chart(study: StudyRecord, standings: Standings) -> str:
    """The time to the first token against output tokens per second; empty where none is known."""
    front = token_fronts(study).get("ttft_ms")
    if front is None:
        return ""
    figure = _figure(study, standings, front, "tokens_per_s", "ttft_ms", "vh")
    limit_s = study.budget.limits.ttft_s
    drawn_ms = [y for trace in figure.data for y in trace.y if y is not None]
    if limit_s < math.inf:
        page.draw_limit(figure, f"limit: TTFT {limit_s * 1e3:g} ms", y=1e3 * limit_s)
        drawn_ms.append(1e3 * limit_s)
    title = f"p{study.budget.percentile:g} TTFT (ms)"
    return page.chart(
        "first-tokens", figure, xaxis=_TOKENS_AXIS, yaxis=page.logarithmic(title, drawn_ms)
    )


def _figure(
    study: StudyRecord, standings: Standings, front: Sequence[Row], x: str, y: str, shape: str
) -> go.Figure:
    """The load points of the best configuration, of the defaults and of the others; the front."""
    named = {
        str(each.configuration): title
        for title, each in reversed(findings.sides(standings).items())
    }
    groups: dict[str, list[Row]] = {"others": [], formats.DEFAULTS: [], findings.BEST: []}
    for row in load_points(study):
        if math.isfinite(row.get(x, math.nan)) and math.isfinite(row[y]):
            groups[named.get(row["configuration"], "others")].append(row)
    changes = answer_sheets.changes(study)
    clouds = [_cloud(name, rows, changes, x, y) for name, rows in groups.items() if rows]
    line = go.Scatter(
        x=[row[x] for row in front],
        y=[row[y] for row in front],
        mode="lines",
        line={"color": page.TEAL, "width": 2, "shape": shape},
        name="Pareto front",
        hoverinfo="skip",
    )
    return go.Figure([*clouds, line])


def _cloud(
    name: str, rows: Sequence[Row], changes: Mapping[int, str], x: str, y: str
) -> go.Scatter:
    symbols = [page.DOUBTFUL if row["stopped_early"] else page.SURE for row in rows]
    return go.Scatter(
        x=[row[x] for row in rows],
        y=[row[y] for row in rows],
        mode="markers",
        marker={"color": _COLOURS[name], "size": 6 if name == "others" else 9, "symbol": symbols},
        name="other configurations" if name == "others" else name,
        hovertext=[_hover(row, changes) for row in rows],
        hoverinfo="text",
    )


def _hover(row: Row, changes: Mapping[int, str]) -> str:
    return page.hover(
        [
            f"trial {row['trial']} ({row['purpose']})",
            f"{formats.rate(row['throughput'])} requests/s",
            f"{formats.rate(row['tokens_per_s'])} output tokens/s",
            f"{formats.rate(row['speed'])} tokens/s of a user",
            f"TTFT {formats.latency(row['ttft_ms'] / 1e3)}",
            f"ITL {formats.latency(row['itl_ms'] / 1e3)}",
            *(["stopped early: over the limit"] if row["stopped_early"] else []),
            *changes[row["trial"]].split(" "),
        ]
    )
