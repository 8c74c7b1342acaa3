"""The Pareto front of a stored study: what throughput costs in latency."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from tuner.analysis import pareto
from tuner.analysis.nearest import Nearest
from tuner.analysis.pareto import Row
from tuner.analysis.standings import standings
from tuner.records import StudyRecord
from tuner.report import findings, formats, nearest_text, objective_text
from tuner.report.columns import rows_table, text_table
from tuner.store.storage import Storage


@dataclass(frozen=True)
class Front:
    """The `points` of it, and what comes closest to the budget where none is within it.

    The study has the load points of its front, and its trials where it has several objectives;
    that of a fleet has all, since its front is known once the factors of hosts are taken off.
    """

    study: StudyRecord
    points: Sequence[Row]
    nearest: Nearest | None


def front_of(storage: Storage, name: str | None) -> Front:
    """That of the study called `name`, or of the newest one.

    Raises:
        InputError: There is no such study.
    """
    study = storage.study(name, trials=False)
    if study.options.get("fleet"):
        study = storage.study(study.name)
    else:
        on_front = storage.front_trials(study)
        if len(study.objectives) > 1:
            study = storage.study(study.name, brief=True)
        study = storage.in_full(study, on_front)
    points = pareto.trade_off(study)
    met = any(point["within"] for point in points)
    return Front(study, points, None if met else _nearest(storage, study.name))


def trials_of_front(storage: Storage, study: StudyRecord) -> frozenset[int]:
    """The numbers of the trials that have a load point of the front."""
    if study.options.get("fleet"):
        points = pareto.trade_off(storage.study(study.name))
        return frozenset(int(point["trial"]) for point in points)
    return storage.front_trials(study)


def front_document(front: Front) -> dict[str, Any]:
    """The same as JSON content; of several objectives also the front of the trials."""
    study = front.study
    reference = study.baseline
    several = len(study.objectives) > 1
    return {
        "load_points": front.points,
        "objectives": {
            "front": pareto.objectives_front(study),
            "reference": {o.value: reference.value(o) for o in study.objectives if reference},
            "hypervolume": pareto.hypervolume_over_baseline(study),
        }
        if several
        else None,
        "nearest": nearest_text.nearest_document(front.nearest),
    }


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


def front_blocks(front: Front) -> list[RenderableType]:
    """A Pareto front, and what comes closest to the budget where none of it is within."""
    study = front.study
    blocks = [pareto_table(front.points)]
    if front.nearest:
        blocks.append(_whole(findings.about_nearest(front.nearest)))
    if len(study.objectives) > 1:
        rows = objective_text.front_rows(study, pareto.objectives_front(study))
        blocks += [rows_table(rows), _whole(objective_text.about_hypervolume(study))]
    return blocks


def _nearest(storage: Storage, name: str) -> Nearest | None:
    study = storage.study(name, brief=True)
    return findings.nearest(study, standings(study))


def _whole(sentence: str) -> Text:
    """In one line, however wide."""
    return Text(sentence, no_wrap=True, overflow="ignore")
