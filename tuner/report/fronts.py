"""The Pareto front of a stored study: what throughput costs in latency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from tuner.analysis import pareto
from tuner.analysis.nearest import Nearest
from tuner.analysis.pareto import Row
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import standings
from tuner.analysis.token_figures import makes_tokens
from tuner.records import StudyRecord
from tuner.report import findings, formats, nearest_text, objective_text, token_text
from tuner.report.columns import rows_table, text_table
from tuner.store.storage import Storage


@dataclass(frozen=True)
class Front:
    """The `points` of it, and what comes closest to the budget where none is within it.

    The study has the load points of its front, and its trials where it has several objectives;
    that of a fleet has all, since its front is known once the factors of hosts are taken off.
    `tokens` are the fronts of output tokens per second (`pareto.token_fronts`).
    """

    study: StudyRecord
    points: Sequence[Row]
    nearest: Nearest | None
    tokens: Mapping[str, Sequence[Row]] = field(default_factory=dict)


def front_of(storage: Storage, name: str | None) -> Front:
    """That of the study called `name`, or of the newest one.

    Raises:
        InputError: There is no such study.
    """
    study = storage.study(name, trials=False)
    if study.on_fleet:
        study = storage.study(study.name)
    else:
        on_front = storage.front_trials(study)
        if len(study.objectives) > 1:
            study = storage.study(study.name, brief=True)
        study = storage.in_full(study, on_front)
        if makes_tokens(study.trials):
            study = storage.study(study.name)  # those of tokens are others' points
    points = pareto.trade_off(study)
    met = any(point["within"] for point in points)
    nearest = None if met else _nearest(storage, study.name)
    return Front(study, points, nearest, pareto.token_fronts(study))


def trials_of_front(storage: Storage, study: StudyRecord) -> frozenset[int]:
    """The numbers of the trials that have a load point of the front."""
    if study.on_fleet:
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
        "unit": RateUnit.of(study).value,
        "objectives": {
            "front": pareto.objectives_front(study),
            "reference": {o.value: reference.value(o) for o in study.objectives if reference},
            "hypervolume": pareto.hypervolume_over_baseline(study),
        }
        if several
        else None,
        "tokens": front.tokens or None,
        "nearest": nearest_text.nearest_document(front.nearest),
    }


def pareto_table(study: StudyRecord, points: Sequence[Row]) -> RenderableType:
    """The rows of a Pareto front, as `tuner.analysis.pareto` returns them."""
    if not points:
        return Text("No load point was measured yet", style="bold")
    if all("tokens_per_s" in each for each in points):
        return _token_table(
            "Pareto front: beyond these load points, throughput costs time", points
        )
    titles = (RateUnit.of(study), "latency", "within", "trial")
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


def token_tables(study: StudyRecord, fronts: Mapping[str, Sequence[Row]]) -> list[RenderableType]:
    """What output tokens per second cost; nothing where answers are not made of tokens."""
    q = f"p{study.budget.percentile:g}"
    return [
        _token_table(f"Output tokens per second against {what} ({q})", fronts[name])
        for name, what in token_text.TRADE_OFFS.items()
        if name in fronts
    ]


def _token_table(title: str, points: Sequence[Row]) -> RenderableType:
    rows = [
        (
            formats.rate(row["throughput"]),
            formats.rate(row["tokens_per_s"]),
            formats.rate(row["speed"]),
            *(formats.latency(row[name] / 1e3) for name in ("ttft_ms", "itl_ms", "whole_ms")),
            "yes" if row["within"] else "no",
            str(row["trial"]),
            row["configuration"],
        )
        for row in points
    ]
    titles = ("requests/s", "tokens/s", "a user's", "TTFT", "ITL", "whole", "within", "trial")
    columns = [Column(each, justify="right", no_wrap=True) for each in titles]
    table = text_table(rows, *columns, Column("configuration", overflow="fold"))
    return Group(Text(title, style="bold"), table)


def front_blocks(front: Front) -> list[RenderableType]:
    """A Pareto front, and what comes closest to the budget where none of it is within."""
    study = front.study
    blocks = [pareto_table(study, front.points), *token_tables(study, front.tokens)]
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
