"""What the HTML pages have in common: frame, style sheet, plotly.js and the look of a chart.

Colours of text and grid come from the page's style sheet, so that both follow light and dark;
those of the data are readable on both.
"""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
import plotly.io

from tuner.report import figures

# One colour for each thing that is drawn, by what it looks like.
BLUE = "#2f81d7"
ORANGE = "#d9822b"
TEAL = "#2a9d8f"
RED = "#d1495b"
PURPLE = "#8e6bbf"
GREEN = "#5c9e4a"
GREY = "#8b949e"
# The marker of a point, and that of one that may mislead.
SURE = "circle"
DOUBTFUL = "x-thin-open"
# plotly.js with the traces that are drawn here (scatter, bar); where it is from stands beside it.
_PLOTLY = Path(__file__).with_name("plotly-basic.min.js")
# Digits of the ticks of a logarithmic axis, for values that are this factor apart, or nearer.
_WIDE = 10.0
_TICKS = (1, 2, 5)
_FINE_TICKS = (1, 1.5, 2, 3, 4, 5, 7)
_CHART_HEIGHT = "440px"
_TOOLS = {"displaylogo": False, "responsive": True, "displayModeBar": False}
_LAYOUT: Mapping[str, Any] = {
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "margin": {"l": 56, "r": 12, "t": 8, "b": 52},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    "hovermode": "closest",
    "hoverlabel": {
        "bgcolor": "#22272e",
        "font": {"color": "#f0f3f6", "size": 12},
        "align": "left",
    },
}


@cache
def template(name: str, **filters: Callable[..., Any]) -> jinja2.Template:
    """The template called `name` in this room; what it shows is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tuner.report", package_path=""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)


def script() -> str:
    """plotly.js itself, to stand once on the page."""
    return _PLOTLY.read_text(encoding="utf-8")


def chart(name: str, figure: go.Figure, **layout: Any) -> str:
    """`figure` in the look of all charts, as a fragment that needs plotly.js on the same page."""
    figure.update_layout(_LAYOUT, **layout)
    figure.update_xaxes(zeroline=False)
    return str(
        plotly.io.to_html(
            figure,
            config=_TOOLS,
            include_plotlyjs=False,
            full_html=False,
            validate=False,  # its parts were, as they were made
            default_height=_CHART_HEIGHT,
            div_id=name,
        )
    )


def throughput_axis(unit: str) -> dict[str, Any]:
    """An axis from 0 on."""
    return {"title": {"text": f"throughput ({unit})"}, "rangemode": "tozero"}


def logarithmic(title: str, values: Sequence[float]) -> dict[str, Any]:
    """An axis of positive `values`, with ticks where people look for them."""
    ticks = log_ticks(values)
    return {
        "title": {"text": f"{title}, logarithmic"},
        "type": "log",
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def draw_limit(
    figure: go.Figure, text: str, *, of_logarithms: bool = True, **place: float
) -> None:
    """A line across the chart at one `x` or one `y`, and what it is."""
    [(axis, limit)] = place.items()
    other = "y" if axis == "x" else "x"
    across = {f"{axis}ref": axis, f"{other}ref": "paper"}
    ends = {f"{axis}0": limit, f"{axis}1": limit, f"{other}0": 0, f"{other}1": 1}
    dashed = {"color": RED, "dash": "dash", "width": 1.5}
    figure.add_shape(**across, **ends, type="line", line=dashed)
    # Where a shape wants the value on a logarithmic axis, an annotation wants the exponent.
    figure.add_annotation(
        **across,
        **{axis: math.log10(limit) if of_logarithms else limit, other: 0},
        xanchor="left",
        yanchor="bottom",
        showarrow=False,
        text=text.replace("<=", "≤"),
    )


def log_ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times the powers of ten, from just below `values` to just above; or finer."""
    if not values:
        return []
    least, most = min(values), max(values)
    digits = _TICKS if most > _WIDE * least else _FINE_TICKS
    ticks = figures.round_numbers(least, most, digits)
    return [tick for tick in ticks if 0.4 * least <= tick <= 2.5 * most]


def hover(lines: Iterable[str]) -> str:
    """The text beside a point that is pointed at."""
    return "<br>".join(html.escape(line.replace("<=", "≤")) for line in lines)
