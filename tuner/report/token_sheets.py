"""Output tokens of a study as tables: what they cost, and how they came at each load."""

from collections.abc import Mapping, Sequence
from typing import Any

from tuner.analysis.load_curves import loaded_points
from tuner.analysis.pareto import token_fronts
from tuner.analysis.standings import Standings
from tuner.analysis.token_figures import ANSWER_TIMES, AnswerTimes
from tuner.records import PointRecord, StudyRecord
from tuner.report import findings, formats, markup, token_text
from tuner.report.sheet import Sheet


def fronts(study: StudyRecord) -> tuple[Sheet, ...]:
    """What output tokens per second cost; none where answers are not made of tokens."""
    found = token_fronts(study)
    return tuple(
        front(f"Output tokens per second against {what}", study, found[name])
        for name, what in token_text.TRADE_OFFS.items()
        if name in found
    )


def front(title: str, study: StudyRecord, rows: Sequence[Mapping[str, Any]]) -> Sheet:
    """Load points that no other beats, as `tuner.analysis.pareto` returns them."""
    q = f"p{study.budget.percentile:g}"
    titles = ("Requests/s", "Output tokens/s", f"Tokens/s of a user ({q})", *_times(q))
    last = ("Within the budget", "Trial", "Configuration")
    configurations = {trial.number: trial.configuration for trial in study.trials}
    baseline = study.baseline.configuration if study.baseline else None
    return Sheet(
        title,
        (*titles, *last),
        tuple(
            (
                formats.rate(row["throughput"]),
                formats.rate(row["tokens_per_s"]),
                formats.rate(row["speed"]),
                *(formats.latency(row[f"{name}_ms"] / 1e3) for name in _NAMES),
                "yes" if row["within"] else "no",
                str(row["trial"]),
                _shown(formats.short(configurations[row["trial"]], baseline)),
            )
            for row in rows
        ),
        numbers=frozenset({*range(len(titles)), len(titles) + 1}),
        best=frozenset(n for n, row in enumerate(rows) if row["within"]),
    )


def curves(study: StudyRecord, standings: Standings) -> Sheet:
    """The load points of the load curves, in the order of their load."""
    q = f"p{study.budget.percentile:g}"
    titles = ("Configuration", "Requests/s", "Output tokens/s", *_times(q), "")
    rows = [
        (title.capitalize(), *_point_cells(point, study.budget.percentile))
        for title, standing in findings.compared(study, standings).items()
        for point in sorted(loaded_points(study, standing.trial), key=lambda each: each.load)
    ]
    return Sheet(
        "The load points of the load curves",
        titles,
        tuple(rows),
        numbers=frozenset(range(1, len(titles) - 1)),
    )


_NAMES = tuple(field.removesuffix("_s") for field in ANSWER_TIMES)


def _times(q: str) -> tuple[str, ...]:
    return tuple(f"{q} {name}" for name in ANSWER_TIMES.values())


def _point_cells(point: PointRecord, q: float) -> tuple[str, ...]:
    times = AnswerTimes.of(point, q)
    return (
        formats.rate(point.throughput),
        formats.rate(point.tokens_per_s),
        *(formats.latency(getattr(times, field)) for field in ANSWER_TIMES),
        "stopped early" if point.stopped_early else "",
    )


def _shown(changes: str) -> str:
    return changes if changes == formats.DEFAULTS else markup.code(changes)
