"""The answers of a study as tables: who won, the trade-off, and where the latency went."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tuner.analysis.bottleneck import latency_split
from tuner.analysis.budget_curve import budget_curve
from tuner.analysis.interpolation import EstimateKind
from tuner.analysis.load_curves import LoadCurve, loaded_points
from tuner.analysis.pareto import trade_off
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Standing, Standings
from tuner.analysis.token_figures import makes_tokens
from tuner.numbers.arrays import FloatArray
from tuner.records import StudyRecord
from tuner.report import figures, findings, formats, markup, rates, token_sheets, token_text
from tuner.report.sheet import Sheet
from tuner.space.space import Configuration

# Rows of the table of latency limits, beside the study's own limit.
_MOST_LIMITS = 14
# Digits of round limits: a reader looks for their own among them.
_LIMIT_DIGITS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)


def sides(study: StudyRecord, standings: Standings) -> Sheet:
    """The winner, the server's defaults and the runner-up: what they carry, and what differs."""
    compared = findings.compared(study, standings)
    shown = list(compared.values())
    unit = RateUnit.of(study).capitalize()
    rows = [
        (f"{unit} within {study.budget}", *map(findings.carried, shown)),
        ("Over the defaults, 95 % interval", *(_gain(each, standings) for each in shown)),
        *_at_the_highest_load(study, shown),
        (
            f"{unit} at saturation, whatever the latency",
            *(formats.rate(each.trial.saturation) for each in shown),
        ),
        ("Rests on", *map(findings.grounds, shown)),
        *(
            (markup.code(name), *(_value(each.configuration, name) for each in shown))
            for name in _different([each.configuration for each in shown])
        ),
    ]
    return Sheet(
        "The configurations side by side",
        ("", *(title.capitalize() for title in compared)),
        (rows[0], *(row for row in rows[1:] if set(row[1:]) != {formats.NOTHING})),
        numbers=frozenset(range(1, 1 + len(shown))),
        best=frozenset({0}),
    )


def _at_the_highest_load(study: StudyRecord, shown: Sequence[Standing]) -> list[tuple[str, ...]]:
    generated = token_text.rows(study, [each.trial for each in shown])
    if generated:
        return [(_titled(label), *cells) for label, *cells in generated]
    return [
        (f"p{q:g} at the highest load within it", *(_percentile(s, study, q) for s in shown))
        for q in figures.percentiles(study.budget)
    ]


def _titled(label: str) -> str:
    """With a capital, unless it begins with a percentile."""
    return label if label[1].isdigit() else label[0].upper() + label[1:]


def front(study: StudyRecord) -> Sheet:
    """The load points of the Pareto front."""
    rows = trade_off(study)
    if rows and all("tokens_per_s" in each for each in rows):
        return token_sheets.front("The load points of the Pareto front", study, rows)
    return Sheet(
        "The load points of the Pareto front",
        (
            RateUnit.of(study).capitalize(),
            f"p{study.budget.percentile:g}",
            "95 % interval",
            "Within the budget",
            "Trial",
            "Configuration",
        ),
        tuple(_front_row(study, row) for row in rows),
        numbers=frozenset({0, 1, 2, 4}),
        best=frozenset(n for n, row in enumerate(rows) if row["within"]),
    )


def about_front(study: StudyRecord, points: pd.DataFrame) -> str:
    """The most that any load point within the budget has; `points` are those of the study."""
    within = points[points["within"] & ~points["stopped_early"]]
    if within.empty:
        return f"No load point meets {study.budget}"
    most = rates.of_study(float(within["throughput"].max()), study)
    return f"The highest throughput measured within {study.budget} is {most}"


def changes(study: StudyRecord) -> dict[int, str]:
    """What each trial with load points changes about the server's defaults, by its number."""
    baseline = study.baseline.configuration if study.baseline else None
    return {t.number: formats.short(t.configuration, baseline) for t in study.trials if t.points}


def interval_ms(row: Mapping[Any, Any]) -> str:
    """The 95 % interval of the latency of a load point, as far as it is known."""
    low, high = row["latency_low_ms"] / 1e3, row["latency_high_ms"] / 1e3
    if math.isnan(low):
        return formats.NOTHING
    if math.isinf(high):
        return f"from {formats.latency(low)}"
    return f"{formats.latency(low)} to {formats.latency(high)}"


def limits(
    study: StudyRecord, points: pd.DataFrame, curves: Sequence[Sequence[LoadCurve]]
) -> Sheet | None:
    """The highest capacity for round latency limits, and which configuration has it.

    None where no load point has a latency.
    """
    known_ms = limits_ms(points)
    if not known_ms.size:
        return None
    least, most, own_ms = known_ms.min(), known_ms.max(), study.budget.limit_s * 1e3
    found_ms = figures.round_numbers(least, most, _LIMIT_DIGITS)
    round_ms = [each for each in found_ms if least <= each <= most]
    chosen_ms = sorted({*round_ms[-_MOST_LIMITS:], own_ms})
    rows = budget_curve(study, curves, chosen_ms).to_dict("records")
    return Sheet(
        "The highest capacity for each latency limit",
        (
            f"p{study.budget.percentile:g} within",
            RateUnit.of(study).capitalize(),
            "How it is known",
            "Trial",
            "Server's defaults",
            "Configuration",
        ),
        tuple(_limit_row(study, row) for row in rows),
        numbers=frozenset({0, 1, 3, 4}),
        best=frozenset(n for n, row in enumerate(rows) if row["limit_ms"] == own_ms),
    )


def limits_ms(points: pd.DataFrame) -> FloatArray:
    """The latencies of load points behind which no queue grew without end."""
    steady = points["latency_ms"][~points["stopped_early"]]
    latencies_ms: FloatArray = steady[np.isfinite(steady)].to_numpy(dtype=np.float64)
    return latencies_ms


def curves(study: StudyRecord, standings: Standings) -> Sheet:
    """The load points of the load curves, in the order of their load."""
    if makes_tokens(study.trials):
        return token_sheets.curves(study, standings)
    rows = [
        (
            title.capitalize(),
            formats.rate(point.throughput),
            formats.latency(point.percentile(50)),
            formats.latency(point.latency_s),
            "stopped early" if point.stopped_early else "",
        )
        for title, standing in findings.compared(study, standings).items()
        for point in sorted(loaded_points(study, standing.trial), key=lambda each: each.load)
    ]
    q = f"p{study.budget.percentile:g}"
    return Sheet(
        "The load points of the load curves",
        ("Configuration", RateUnit.of(study).capitalize(), "p50", q, ""),
        tuple(rows),
        numbers=frozenset({1, 2, 3}),
    )


def splits(study: StudyRecord, standings: Standings) -> Sheet | None:
    """Where the mean latency of each configuration went; None where no server told."""
    rows: list[tuple[str, ...]] = []
    parts: tuple[str, ...] = ()
    for title, standing in findings.compared(study, standings).items():
        split = latency_split(standing.trial)
        if split is not None:
            cells = map(formats.latency, (split.mean_s, *split.parts_s.values()))
            batch = f"{standing.trial.statistics.mean_batch:.1f}"
            parts = tuple(split.parts_s)
            rows.append((title.capitalize(), *cells, batch))
    if not rows:
        return None
    return Sheet(
        "The parts of the mean latency",
        ("Configuration", "Mean latency", *(each.capitalize() for each in parts), "Mean batch"),
        tuple(rows),
        numbers=frozenset(range(1, 8)),
    )


def _different(configurations: Sequence[Configuration]) -> list[str]:
    names = dict.fromkeys(name for each in configurations for name in each)
    return [name for name in names if len({each.get(name) for each in configurations}) > 1]


def _value(configuration: Configuration, name: str) -> str:
    return markup.code(formats.value(configuration.get(name)))


def _percentile(standing: Standing, study: StudyRecord, q: float) -> str:
    point = standing.trial.best_point(study.budget)
    return formats.latency(point.percentile(q)) if point else formats.NOTHING


def _gain(standing: Standing, standings: Standings) -> str:
    baseline = standings.baseline
    if baseline is None or not baseline.throughput or not standing.throughput:
        return formats.NOTHING
    if standing.configuration == baseline.configuration:
        return formats.NOTHING
    won = standing is standings.winner and standings.gain
    return formats.gain(won or standing.over(baseline))


def _short(study: StudyRecord, configuration: Configuration) -> str:
    """What it changes about the server's defaults."""
    baseline = study.baseline
    text = formats.short(configuration, baseline.configuration if baseline else None)
    return text if text == formats.DEFAULTS else markup.code(text)


def _front_row(study: StudyRecord, row: Mapping[Any, Any]) -> tuple[str, ...]:
    return (
        formats.rate(row["throughput"]),
        formats.latency(row["latency_ms"] / 1e3),
        interval_ms(row),
        "yes" if row["within"] else "no",
        str(row["trial"]),
        _short(study, _configuration(study, row["trial"])),
    )


def _limit_row(study: StudyRecord, row: Mapping[Any, Any]) -> tuple[str, ...]:
    nothing = row["kind"] == EstimateKind.NONE
    return (
        token_text.limits_text(study.budget.at(row["limit_ms"] / 1e3)),
        formats.rate(row["throughput"]),
        formats.NOTHING if nothing else row["kind"],
        formats.NOTHING if nothing else str(row["trial"]),
        formats.rate(row["baseline"]),
        formats.NOTHING if nothing else _short(study, _configuration(study, row["trial"])),
    )


def _configuration(study: StudyRecord, number: int) -> Configuration:
    return next(trial.configuration for trial in study.trials if trial.number == number)
