"""The Pareto front of a study, as a table for the terminal."""

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from tuner.report import formats
from tuner.report.columns import text_table


def pareto_table(frame: pd.DataFrame) -> RenderableType:
    """The rows of a Pareto front, as `tuner.analysis.pareto` returns them."""
    if frame.empty:
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
        for row in frame.to_dict("records")
    ]
    title = Text("Pareto front: beyond these load points, throughput costs latency", style="bold")
    return Group(title, text_table(rows, *columns, Column("configuration", overflow="fold")))
