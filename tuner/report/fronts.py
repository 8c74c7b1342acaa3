"""The Pareto front of a study, as a table for the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from tuner.analysis.pareto import Row
from tuner.report import formats
from tuner.report.columns import text_table


def pareto_table(points: Sequence[Row]) -> RenderableType:
    """The rows of a Pareto front, as `tuner.analysis.pareto` returns them."""
    if not points:
        return Text("No load point was measured yet", style="bold")
    titles = ("inferences/s", "latency", "within", "trial")
    columns = [Column(title, justify="right", no_wrap=True) for title in titles]
    rows = [
        (
            formats.rate(row["throughput"]),
            formats.latency(row["latency_ms"] / 1e3),
            "yes" if row["within"] else "no",
            str(row["trial"]),
            row["configuration"],
        )
        for row in points
    ]
    title = Text("Pareto front: beyond these load points, throughput costs latency", style="bold")
    return Group(title, text_table(rows, *columns, Column("configuration", overflow="fold")))
