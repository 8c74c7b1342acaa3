"""Output tokens in words: how many there were, when they came, and within which limits."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuner.analysis.pareto import load_points
from tuner.analysis.standings import Standing
from tuner.analysis.token_figures import (
    ANSWER_TIMES,
    AnswerTimes,
    has_tokens,
    highest_loads,
    limited_times,
)
from tuner.goals import AnswerLimits, LatencyBudget
from tuner.load.tokens import PIECES_COUNTED
from tuner.records import PointRecord, StudyRecord, TrialRecord
from tuner.report import budgets, formats

# Where more of the tokens than this share arrived together with another, gaps are doubtful.
_MANY_TOGETHER = 0.1
TRADE_OFFS: Mapping[str, str] = {
    "speed": "the speed that a user sees",
    "ttft_ms": "the time to the first token",
}
"""What output tokens per second cost, by the names of `pareto.token_fronts`."""


def latency_name(budget: LatencyBudget) -> str:
    """For an axis: `p99 latency` or, where there are several limits, `worst p99, as TTFT`."""
    if budget.answers is None:
        return f"p{budget.percentile:g} latency"
    leading, *others = limited_times(budget)
    return f"worst p{budget.percentile:g}, as {leading}" if others else latency_title(budget)


def latency_title(budget: LatencyBudget) -> str:
    """`p99`, or `p99 of the worst of TTFT and ITL, as TTFT`."""
    if budget.answers is None:
        return f"p{budget.percentile:g}"
    leading, *others = limited_times(budget)
    if not others:
        return f"p{budget.percentile:g} {leading}"
    worst = formats.listed([leading, *others])
    return f"p{budget.percentile:g} of the worst of {worst}, as {leading}"


def judged(budget: LatencyBudget, latency_s: float) -> str:
    """A latency; of the worst of several times `0.38x`, how much of its limit that is."""
    if len(limited_times(budget)) < 2 or not math.isfinite(latency_s):
        return formats.latency(latency_s)
    return formats.times(latency_s / budget.limit_s)


def about_worst(budget: LatencyBudget) -> tuple[str, ...]:
    """What a latency is where there are several limits, in a sentence."""
    leading, *others = limited_times(budget)
    if not others:
        return ()
    judged_by = f"A request is judged by the worst of {formats.listed([leading, *others])}"
    return (f"{judged_by}, each over its own limit; a chart has that in ms of {leading}.",)


def about_judged(budget: LatencyBudget) -> str:
    """What `judged` says, where there are several limits; else empty."""
    times = limited_times(budget)
    if len(times) < 2:
        return ""
    return f"Unloaded: the worst of {formats.listed(times)}, over its limit."


def limits_text(budget: LatencyBudget) -> str:
    """`50 ms`, or `TTFT 200 ms, ITL 20 ms`; of several, four digits."""
    if budget.answers is None:
        return f"{budget.limit_s * 1e3:g} ms"
    rounded = {name: float(f"{s:.4g}") for name, s in budget.answers.as_record().items()}
    return str(AnswerLimits(**rounded))


def options(budget: LatencyBudget) -> str:
    """What `tuner optimize` is told of its limits, rounded up."""
    said = budgets.said_limits(budget).items()
    return " ".join(
        f"--{option.replace('_', '-')} {_rounded_up(limit_ms):g}"
        for option, limit_ms in said
        if limit_ms is not None
    )


def _rounded_up(limit_ms: float) -> float:
    """Limits of a few milliseconds keep a decimal."""
    return math.ceil(limit_ms) if limit_ms >= 10 else math.ceil(10 * limit_ms) / 10


def about_fronts(study: StudyRecord) -> str:
    """The most output tokens per second within the budget, and the speed that a user sees then."""
    within = [
        row
        for row in load_points(study)
        if row["within"] and not row["stopped_early"] and "tokens_per_s" in row
    ]
    if not within:
        return f"No load point meets {study.budget}"
    most = max(within, key=lambda row: float(row["tokens_per_s"]))
    per_s = f"{formats.rate(most['tokens_per_s'])} output tokens/s"
    if math.isnan(most["speed"]):
        return f"The most within the budget are {per_s}"
    return (
        f"At {per_s}, the most within the budget, {study.budget.percentile:g} % of the answers "
        f"come at {formats.rate(most['speed'])} tokens/s or more"
    )


def rows(study: StudyRecord, trials: Sequence[TrialRecord]) -> list[tuple[str, ...]]:
    """For a table of the highest loads of some trials; none where answers are not of tokens."""
    points = highest_loads(study, trials)
    if not any(points):
        return []
    per_s = (formats.rate(each.tokens_per_s) if each else formats.NOTHING for each in points)
    budget = study.budget
    found = [("output tokens/s at the highest load", *per_s)]
    for field, name in ANSWER_TIMES.items():
        for q in sorted({50.0, budget.percentile}):
            limit_s = getattr(budget.limits, field) if q == budget.percentile else math.inf
            limit = f" (limit {limit_s * 1e3:g} ms)" if limit_s < math.inf else ""
            times = (formats.latency(_time_s(each, q, field)) for each in points)
            found.append((f"p{q:g} {name} at the highest load{limit}", *times))
    speeds = (formats.rate(AnswerTimes.of(e, 50).speed) if e else formats.NOTHING for e in points)
    return [*found, ("tokens/s that a user sees (p50)", *speeds)]


def tokens_document(point: PointRecord) -> dict[str, Any]:
    """What is known of a load point's output tokens, as JSON values under `tokens`; or nothing."""
    if not has_tokens(point):
        return {}
    percentiles = {q: AnswerTimes.of(point, q) for q in point.percentiles_s}
    times = {
        field.removesuffix("_s"): {
            f"p{q}_ms": 1e3 * getattr(each, field) for q, each in percentiles.items()
        }
        for field in ANSWER_TIMES
    }
    facts = {
        "output_per_s": point.tokens_per_s,
        "counted_by": point.counted_by or None,
        "together_share": point.together,
    }
    return {"tokens": facts | times}


def about_together(share: float) -> str:
    """What to know of the time between tokens that arrived together; empty where few did."""
    if not share > _MANY_TOGETHER:
        return ""
    return (
        f"{share:.0%} of the tokens arrived together with the one before them: the time between "
        "pieces is shared among their tokens"
    )


def about_requests(study: StudyRecord, winner: Standing | None) -> Iterator[str]:
    """What must be known of a study's requests, and of how their tokens came; a sentence each.

    Of the tokens at the highest load of the `winner`.
    """
    said = list(study.baseline.remarks) if study.baseline else []
    point = highest_loads(study, [winner.trial])[0] if winner else None
    if point and point.counted_by not in ("server", ""):
        said.append(PIECES_COUNTED)
    if point and point.itl and (together := about_together(point.together)):
        said.append(together)
    for each in dict.fromkeys(said):
        yield f"{each[0].upper()}{each[1:]}."


def _time_s(point: PointRecord | None, q: float, field: str) -> float:
    return getattr(AnswerTimes.of(point, q), field) if point else math.nan
