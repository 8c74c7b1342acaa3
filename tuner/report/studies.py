"""Which studies there are, a line for each."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Column, Table

from tuner.analysis.nearest import nearest_unloaded
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import standings
from tuner.records import StudyRecord
from tuner.report import formats, nearest_text
from tuner.report.columns import text_table


def summary(study: StudyRecord) -> dict[str, Any]:
    """One line about a study."""
    result = standings(study)
    nearest = None if result.winner else nearest_unloaded(study)
    return {
        "study": study.name,
        "created_at": study.created_at.isoformat(timespec="seconds"),
        "server": study.server,
        "model": study.model,
        "latency_budget": str(study.budget),
        "trials": len(study.searched),
        "best": result.winner.throughput if result.winner else None,
        "unit": RateUnit.of(study).value,
        "gain": result.gain.estimate if result.gain else None,
        "nearest": nearest_text.nearest_document(nearest),
    }


def studies_table(summaries: Sequence[Mapping[str, Any]]) -> Table:
    """The summaries as a table."""
    texts = [
        Column(title, no_wrap=title == "began", overflow="fold")
        for title in ("study", "began", "server, model", "latency budget")
    ]
    numbers = [Column(title, justify="right") for title in ("trials", "best, 1/s")]
    rows = [
        (
            each["study"],
            f"{datetime.fromisoformat(each['created_at']):%Y-%m-%d %H:%M}",
            f"{each['server']}, {each['model']}",
            each["latency_budget"],
            str(each["trials"]),
            formats.rate(each["best"] or 0.0),
        )
        for each in summaries
    ]
    return text_table(rows, *texts, *numbers)
