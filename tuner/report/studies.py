"""Which studies there are, a line for each."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from tuner.analysis.standings import standings
from tuner.records import StudyRecord
from tuner.report import formats
from tuner.report.columns import unbroken


def summary(study: StudyRecord) -> dict[str, Any]:
    """One line about a study."""
    result = standings(study)
    return {
        "study": study.name,
        "created_at": study.created_at.isoformat(timespec="seconds"),
        "server": study.server,
        "model": study.model,
        "latency_budget": str(study.budget),
        "trials": len(study.searched),
        "best": result.winner.throughput if result.winner else None,
        "gain": result.gain.estimate if result.gain else None,
    }


def studies_table(summaries: Sequence[Mapping[str, Any]]) -> Table:
    """The summaries as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("study", "began", "server, model", "latency budget"):
        table.add_column(title, no_wrap=title == "began", overflow="fold")
    table.add_column("trials", justify="right")
    table.add_column("best inf/s", justify="right")
    for each in summaries:
        table.add_row(
            Text(each["study"]),
            f"{datetime.fromisoformat(each['created_at']):%Y-%m-%d %H:%M}",
            Text(f"{each['server']}, {each['model']}"),
            each["latency_budget"],
            str(each["trials"]),
            formats.rate(each["best"] or 0.0),
        )
    return unbroken(table)
